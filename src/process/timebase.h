// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace knell::process {

// The offsets of the other clocks from CLOCK_MONOTONIC, the clock of the events' stamps. Measured
// again for every drain: a suspend or an adjusted clock changes them.
struct Timebase {
  int64_t boot_ahead_ns = 0;  // boottime minus monotonic: time suspended
  int64_t epoch_ns = 0;       // realtime minus monotonic

  static constexpr uint64_t kTickNs =
      10'000'000;  // USER_HZ is 100 on every Linux: start times are in these ticks

  // The clocks are read one after the other. If the thread is preempted between them, they are read
  // again; the quickest try counts.
  void take(const Clock& clock) {
    constexpr int64_t kAtOnceNs =
        20'000;  // chosen, not measured: a few times the duration without preemption
    constexpr int kMostTries = 5;
    int64_t least = INT64_MAX;
    auto before = static_cast<int64_t>(clock.monotonic_ns());
    for (int i = 0; i < kMostTries && least > kAtOnceNs; ++i) {
      const auto boottime = static_cast<int64_t>(clock.boottime_ns());
      const int64_t realtime = clock.realtime_ns();
      const auto after = static_cast<int64_t>(clock.monotonic_ns());
      if (after - before < least) {
        least = after - before;
        boot_ahead_ns = boottime - before;
        epoch_ns = realtime - before;
      }
      before = after;
    }
  }
  uint64_t boottime_ns(uint64_t mono_ns) const {
    return mono_ns + static_cast<uint64_t>(boot_ahead_ns);
  }
  uint64_t ticks(uint64_t mono_ns) const { return boottime_ns(mono_ns) / kTickNs; }
  // The earliest time at which a process with this start can have begun; at least 1, since 0 means
  // unknown.
  uint64_t mono_of_ticks(uint64_t ticks) const {
    const auto mono = static_cast<int64_t>(ticks * kTickNs) - boot_ahead_ns;
    return mono > 0 ? static_cast<uint64_t>(mono) : 1;
  }
  int64_t realtime_ns(uint64_t mono_ns) const { return static_cast<int64_t>(mono_ns) + epoch_ns; }
};

}  // namespace knell::process
