// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <knell/cn_proc.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/duration.h"
#include "base/result.h"
#include "base/signal_names.h"
#include "event/mask.h"

// Any text is refused with a sentence or parsed, and the text made from a parsed value parses to
// the same value.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knell;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto mask = event::parse_mask(text); mask) {
    KNELL_CHECK(*mask != 0 && (*mask & ~KNELL_EVENT_ALL) == 0);
    KNELL_CHECK(event::parse_mask(event::mask_text(*mask)).value_or(0) == *mask);
  } else {
    KNELL_CHECK(mask.error().sentence && !mask.error().context.empty());
  }
  if (const auto number = parse_signal(text); number) {
    KNELL_CHECK(signal_name(*number) != nullptr);
  }
  if (const auto duration = parse_duration(text); duration) {
    KNELL_CHECK(duration->count() >= 0);
    KNELL_CHECK(parse_duration(duration_text(*duration)).has_value());
  }
  return 0;
}
