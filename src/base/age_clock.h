// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace knell {

// The clock for deleting data by age. If data were deleted by CLOCK_REALTIME, setting that clock
// forward by mistake would delete all of it. This clock runs like CLOCK_BOOTTIME. When
// CLOCK_REALTIME is set back, this clock follows immediately. When CLOCK_REALTIME is set forward,
// this clock follows when it has not been set again for a day; until then data is kept too long.
// Not thread-safe.
class AgeClock {
 public:
  static constexpr uint64_t kTrustNs = uint64_t{86'400} * 1'000'000'000;  // chosen, not measured

  // `newest_ns`: the time of the newest data, which is known to have passed; INT64_MAX: there is no
  // data.
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
  static constexpr int64_t kStepNs = 60'000'000'000;  // a smaller step is an adjustment

  const Clock* clock_;
  int64_t offset_ns_;            // difference between this clock and CLOCK_BOOTTIME
  int64_t seen_ns_ = 0;          // CLOCK_REALTIME at the last call
  uint64_t ahead_since_ns_ = 0;  // CLOCK_BOOTTIME: since when CLOCK_REALTIME was ahead and not set
};

}  // namespace knell
