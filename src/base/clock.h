// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell {

// The clocks an event needs, behind a seam: tests hold them still.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_ns() const = 0;  // what the kernel stamps events with
  virtual uint64_t boottime_ns() const = 0;   // goes on in suspend; what start times count
  virtual int64_t realtime_ns() const = 0;    // since the epoch
};

// The kernel's clocks, in a time namespace too; see time_namespace.h.
Clock& system_clock();

// Set by hand. Boottime runs `boot_ahead_ns` before monotonic, as after a suspend.
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
