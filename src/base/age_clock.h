// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace knell {

// The time by which stored data is too old. Whoever deletes by CLOCK_REALTIME deletes all when that
// clock is set forward by mistake. This clock runs like CLOCK_BOOTTIME instead. It follows
// CLOCK_REALTIME back at once, and forward when that has not been set for a day: until then too
// much is kept. Not thread-safe.
class AgeClock {
 public:
  static constexpr uint64_t kTrustNs = uint64_t{86'400} * 1'000'000'000;  // chosen, not measured

  // `newest_ns`: the last time that is known to have passed, that of the newest data; INT64_MAX:
  // none.
  AgeClock(const Clock& clock, int64_t newest_ns) : clock_(&clock) {
    const auto boot = static_cast<int64_t>(clock.boottime_ns());
    offset_ns_ = std::min(clock.realtime_ns(), newest_ns) - boot;
  }

  // Never later than CLOCK_REALTIME.
  int64_t now_ns() {
    const uint64_t boot = clock_->boottime_ns();
    const int64_t offset = clock_->realtime_ns() - static_cast<int64_t>(boot);
    const bool set = offset - seen_ns_ > kStepNs || seen_ns_ - offset > kStepNs;
    if (set || ahead_since_ns_ == 0) ahead_since_ns_ = boot;
    seen_ns_ = offset;
    if (offset <= offset_ns_ || boot - ahead_since_ns_ >= kTrustNs) {
      offset_ns_ = offset;
      ahead_since_ns_ = boot;
    }
    return static_cast<int64_t>(boot) + offset_ns_;
  }

 private:
  static constexpr int64_t kStepNs = 60'000'000'000;  // less is an adjustment

  const Clock* clock_;
  int64_t offset_ns_;            // of this clock from CLOCK_BOOTTIME
  int64_t seen_ns_ = 0;          // of CLOCK_REALTIME, at the last call
  uint64_t ahead_since_ns_ = 0;  // CLOCK_BOOTTIME: since when CLOCK_REALTIME was ahead and not set
};

}  // namespace knell
