// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace knell::bench {

// The CPU a process and everything under it has used, ns, by the scheduler's own accounting. Read
// it before and after; the difference is what counts:
//   - a living process: its CPU clock, which is the sum of /proc/PID/task/*/schedstat with the
//     threads that have ended still in it; where there is no such clock, that sum
//   - its living children, found through /proc/PID/task/*/children, and theirs: the same
//   - children that ended and were reaped: cutime and cstime of their parent, to a clock tick
// 0 when it is gone.
uint64_t tree_cpu_ns(pid_t pid);

// The sum of /proc/PID/task/*/schedstat alone: what tree_cpu_ns() is tested against.
uint64_t schedstat_ns(pid_t pid);

// Whether a thread of the tree runs or would like to: one that waits for a core uses no CPU either.
bool tree_is_runnable(pid_t pid);

uint64_t resident_bytes(pid_t pid);  // VmRSS; 0 when it is gone

}  // namespace knell::bench
