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
void note_birth(pid_t pid, uint64_t from_ns);
void note_reaped(pid_t pid, uint64_t until_ns);

enum class Owner {
  kChild,
  kEarlier,  // who had the pid before the first child did
  kLater     // who had it after a child
};
// Of an event of that pid with that stamp. Of pids of which nothing was noted, and without a stamp,
// everything is taken for a child's.
Owner owner_of(pid_t pid, uint64_t stamp_ns);

}  // namespace knell::test
