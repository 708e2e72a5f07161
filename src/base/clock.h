// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell {

// The clocks for events, as an interface, so that tests can set them.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_ns() const = 0;  // the clock of event timestamps
  virtual uint64_t boottime_ns() const = 0;   // counts during suspend; the clock of start times
  virtual int64_t realtime_ns() const = 0;    // since the epoch
};

// The kernel's clocks, also in a time namespace; see time_namespace.h. Thread-safe.
Clock& system_clock();

// The CPU time of the calling thread.
uint64_t thread_cpu_ns();

// A clock that the test sets. Boottime is `boot_ahead_ns` ahead of monotonic, as after a suspend.
class FakeClock : public Clock {
 public:
  uint64_t now_ns = 1'000'000'000;
  uint64_t boot_ahead_ns = 0;
  int64_t epoch_ns = 0;  // realtime at monotonic 0
  uint64_t monotonic_ns() const override { return now_ns; }
  uint64_t boottime_ns() const override { return now_ns + boot_ahead_ns; }
  int64_t realtime_ns() const override { return epoch_ns + static_cast<int64_t>(now_ns); }
};

}  // namespace knell
