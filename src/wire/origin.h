// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Where events are from: what a recording and the daemon's greeting begin with.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "wire/frame.h"

namespace knell::wire {

struct ClockOffsets {
  int64_t epoch_ns;       // CLOCK_REALTIME less CLOCK_MONOTONIC
  int64_t boot_ahead_ns;  // CLOCK_BOOTTIME less CLOCK_MONOTONIC
};

struct Recorded {  // of a stream of events: what was asked for, and where it came from
  uint32_t mask;   // KNELL_EVENT_*
  uint32_t level, details;
  uint32_t via;        // enum knell_via
  int64_t started_ns;  // CLOCK_REALTIME
};

struct Origin {
  std::string knell, kernel, boot_id;
  ClockOffsets clock{};
  Recorded subscription{};
  std::string selection;  // which processes, in words
};

// That of events of this machine, of now: all but the subscription.
Origin origin_here(const Clock& clock, std::string boot_id);

inline constexpr size_t kMostText =
    1023;  // of a text of a stranger's: no longer than anybody needs

// Texts longer than kMostText are cut.
void put_origin(FrameWriter& frame, const Origin& origin);

enum class Taken { kYes, kUnknown, kMalformed };
// Fills in what one attribute of a hello says.
Taken take_origin(const AttributeView& attribute, Origin& origin);

}  // namespace knell::wire
