// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <span>

#include "event/namespace_pids.h"
#include "event/raw.h"
#include "filter/subscription.h"

namespace knell::hub {

using filter::Stream;
inline constexpr size_t kStreams = 3;

// An event to publish, with what decides which listeners may see it. Pointers and spans need to
// live until publish() returns.
struct PublishedEvent {
  Stream stream = Stream::kProcesses;
  uint32_t type = 0;      // one KNELL_EVENT_*; NONE: an ack
  bool zero = false;      // an EXIT whose status is known to be 0
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC
  int32_t pid = 0;        // of the event's process, in the initial pid namespace
  bool uid_known = false;
  uint32_t uid = 0;
  bool levels_known = false;
  std::span<const event::NamespacePids> levels;
  const knell_event* event = nullptr;  // kProcesses, kThreads
  const event::Raw* raw = nullptr;     // kDatagrams
};

}  // namespace knell::hub
