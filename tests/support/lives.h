// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace knell::test {

// Records the times at which the children of a test had their pids. On a busy machine all pids are
// reused within a second, so an event with the pid of a child may belong to another process, which
// had the pid before or after it. Times are CLOCK_MONOTONIC.
uint64_t monotonic_now_ns();
// How long after its reap the EXIT of a process may be sent: a third of the shortest time that was
// measured for the reuse of all pids.
inline constexpr uint64_t kLateNs = 100'000'000;
void note_birth(pid_t pid, uint64_t from_ns);
// The birth of a child that was not reaped: at most one clock tick too early. `from_ns`: a time
// before the birth. On a busy machine a fork may take so long that another process that had the pid
// ends meanwhile.
void note_birth_of_child(pid_t pid, uint64_t from_ns);
void note_reaped(pid_t pid, uint64_t until_ns);

enum class Owner {
  kChild,
  kEarlier,  // a process that had the pid before the first child
  kLater     // a process that had the pid after a child
};
// Whether an event with this pid and stamp belongs to a child. An event with a pid that was never
// recorded, or without a timestamp, counts as a child's.
Owner owner_of(pid_t pid, uint64_t stamp_ns);

}  // namespace knell::test
