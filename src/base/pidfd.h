// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"

// Thin faces over the kernel's pidfd calls, with definitions of our own: the headers we build
// against are older than the kernels we run on. All of them may be called by anyone, for any
// process; none blocks.
namespace knell {

// A descriptor that names this process for ever, close-on-exec. Errors: ESRCH no such process (a
// zombie still has one), EMFILE, ENOSYS (before Linux 5.3).
Result<UniqueFd> pidfd_open(pid_t pid, unsigned flags = 0);

// The same for hot paths, where ESRCH is the common answer: the error is just the errno.
std::expected<UniqueFd, int> try_pidfd_open(pid_t pid, unsigned flags = 0);

// Whether the whole process is dead: reaped or not, but no thread of it runs.
bool is_dead(int pidfd);

// The wait status of a process that was reaped, from Linux 6.15 on; nullopt: not reaped yet, or not
// known here.
std::optional<int32_t> exit_info(int pidfd);

// The wait status of an own child that is dead, which is left to be reaped by whoever waits for it;
// nullopt: it is not dead, or not our child.
std::optional<int32_t> child_status(int pidfd);

// The wait status of a zombie, from /proc. To be asked only of a process known to be dead
// (is_dead()): while threads outlive their leader, the leader is a zombie too. nullopt: no zombie,
// or we may not know: field 52 then reads 0.
std::optional<int32_t> zombie_status(pid_t pid);

// What this kernel can do, found out by doing it.
struct PidfdFeatures {
  bool open = false;       // 5.3
  bool info = false;       // PIDFD_GET_INFO, 6.13
  bool exit_info = false;  // the status survives the reap, 6.15
};

// Starts and reaps one child that shares our memory and sends no signal: a few microseconds.
// Remembered.
PidfdFeatures pidfd_features();

}  // namespace knell
