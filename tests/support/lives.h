// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace knell::test {

// When the children of a test had their pids. On a busy machine all pids are in use again within a
// second, so an event with the pid of a child may be of another process, which had the pid before
// or after it. Times are CLOCK_MONOTONIC.
uint64_t monotonic_now_ns();
// The connector may send an EXIT after the process was reaped. A third of the shortest time in
// which all pids were ever measured to be reused.
inline constexpr uint64_t kLateNs = 100'000'000;
void note_birth(pid_t pid, uint64_t from_ns);
void note_reaped(pid_t pid, uint64_t until_ns);

enum class Owner {
  kChild,
  kEarlier,  // the process that had the pid before the first child
  kLater     // a process that had the pid after a child
};
// Whose event it is, by its pid and stamp. An event with a pid that was never noted, or without a
// timestamp, counts as a child's.
Owner owner_of(pid_t pid, uint64_t stamp_ns);

}  // namespace knell::test
