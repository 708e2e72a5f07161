// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The origin of a stream of events: sent in the HELLO of the daemon and of a recording.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "wire/frame.h"

namespace knell::wire {

struct OriginClocks {
  int64_t epoch_ns;       // CLOCK_REALTIME less CLOCK_MONOTONIC
  int64_t boot_ahead_ns;  // CLOCK_BOOTTIME less CLOCK_MONOTONIC
};

struct OriginSubscription {  // the subscription of a stream of events, and its source
  uint32_t mask;             // KNELL_EVENT_*
  uint32_t level, details;
  uint32_t via;        // enum knell_via
  int64_t started_ns;  // CLOCK_REALTIME
};

struct Origin {
  std::string knell, kernel, boot_id;
  OriginClocks clock{};
  OriginSubscription subscription{};
  std::string selection;  // the selected processes, for display
};

// The origin of events on this machine from now on. Of `subscription` only started_ns is set.
Origin origin_here(const Clock& clock, std::string boot_id);

// Bytes of a text, also of a received one; chosen, not measured.
inline constexpr size_t kMostText = 1023;

// Texts longer than kMostText are cut.
void put_origin(FrameWriter& frame, const Origin& origin);

enum class AttributeResult { kKnown, kUnknown, kMalformed };
// Sets the member of `origin` that belongs to this attribute of a HELLO.
AttributeResult read_origin(const AttributeView& attribute, Origin& origin);

}  // namespace knell::wire
