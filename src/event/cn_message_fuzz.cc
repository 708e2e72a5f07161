// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/result.h"
#include "event/cn_message.h"

// Any bytes are refused or decoded, and a decoded event is the same after it is encoded and decoded
// again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knell::event;
  const auto raw = decode(std::as_bytes(std::span(data, size)));
  if (!raw) return 0;
  KNELL_CHECK(size == kDatagramBytes);
  const auto again = decode(encode(*raw));
  KNELL_CHECK(again.has_value());
  KNELL_CHECK(again->what == raw->what && again->cpu == raw->cpu && again->seq == raw->seq);
  KNELL_CHECK(again->stamp_ns == raw->stamp_ns && again->tid == raw->tid && again->pid == raw->pid);
  KNELL_CHECK(std::memcmp(&again->u, &raw->u, sizeof raw->u) == 0);
  return 0;
}
