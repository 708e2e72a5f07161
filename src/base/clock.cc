// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <ctime>

#include "base/time_namespace.h"

namespace knell {
namespace {

int64_t read_clock(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * INT64_C(1'000'000'000) + t.tv_nsec;
}

class SystemClock : public Clock {
 public:
  uint64_t monotonic_ns() const override {
    return static_cast<uint64_t>(read_clock(CLOCK_MONOTONIC) - offsets_.monotonic_ns);
  }
  uint64_t boottime_ns() const override {
    return static_cast<uint64_t>(read_clock(CLOCK_BOOTTIME) - offsets_.boottime_ns);
  }
  int64_t realtime_ns() const override { return read_clock(CLOCK_REALTIME); }

 private:
  const ClockOffsets& offsets_ = clock_offsets();
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

uint64_t thread_cpu_ns() { return static_cast<uint64_t>(read_clock(CLOCK_THREAD_CPUTIME_ID)); }

}  // namespace knell
