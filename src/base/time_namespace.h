// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>

// In a time namespace the clocks that a process reads, its absolute timers and the start times in
// its /proc are shifted; the stamps of events are not. Here is the only place that knows the shift:
// system_clock(), read_proc_stat() and timer_time() apply it, so everything else deals with the
// kernel's own times.
namespace knell {

// How far the clocks of a time namespace are ahead of the kernel's.
struct ClockOffsets {
  int64_t monotonic_ns = 0;
  int64_t boottime_ns = 0;
  bool known = true;  // false: this process is in a time namespace that nothing describes
  bool operator==(const ClockOffsets&) const = default;
};

// Of this process, read once.
const ClockOffsets& clock_offsets();
// Parses /proc/self/timens_offsets; nullopt: it is none.
std::optional<ClockOffsets> parse_clock_offsets(std::string_view text);

// From a start time as /proc/PID/stat shows it in a time namespace (clock ticks) to the kernel's.
// Where the shift is no whole number of ticks it may be one off.
uint64_t kernel_start(uint64_t shown, const ClockOffsets& offsets);
// Whether that happens here.
bool starts_are_exact(const ClockOffsets& offsets);

// A time of system_clock().monotonic_ns() as an absolute timer on CLOCK_MONOTONIC takes it; 0 stays
// 0, which disarms a timer.
timespec timer_time(uint64_t monotonic_ns);
timespec timer_time(uint64_t monotonic_ns, const ClockOffsets& offsets);

}  // namespace knell
