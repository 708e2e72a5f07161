// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>

// In a time namespace the clocks that a process reads, its absolute timers and the start times in
// its /proc are shifted; the timestamps of events are not. system_clock(), read_proc_stat() and
// timer_time() correct the shift, so all other code uses the kernel's own times.
namespace knell {

// How far the clocks of a time namespace are ahead of the kernel's.
struct ClockOffsets {
  int64_t monotonic_ns = 0;
  int64_t boottime_ns = 0;
  bool known = true;  // false: this process is in a time namespace of unknown offsets
  bool operator==(const ClockOffsets&) const = default;
};

// The offsets of this process, read at the first call. Thread-safe.
const ClockOffsets& clock_offsets();
// Parses the text of /proc/self/timens_offsets; nullopt: malformed.
std::optional<ClockOffsets> parse_clock_offsets(std::string_view text);

// Converts a start time that /proc/PID/stat shows in a time namespace (clock ticks) to the
// kernel's. If the shift is not a whole number of ticks, the result may be one tick off.
uint64_t kernel_start(uint64_t shown, const ClockOffsets& offsets);
// Whether kernel_start() is exact with these offsets.
bool starts_are_exact(const ClockOffsets& offsets);

// Converts a time of system_clock().monotonic_ns() to an absolute timer on CLOCK_MONOTONIC; 0 stays
// 0, which disarms a timer.
timespec timer_time(uint64_t monotonic_ns);
timespec timer_time(uint64_t monotonic_ns, const ClockOffsets& offsets);

}  // namespace knell
