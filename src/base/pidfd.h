// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"

// Thin wrappers of the kernel's pidfd calls. knell has its own definitions, since the
// headers of Debian 12 are older than the kernels knell runs on. Any user may call them for any
// process; none blocks.
namespace knell {

// A close-on-exec descriptor that refers to this process, even after its pid is reused. Errors:
// ESRCH no such process (a zombie still counts), EMFILE, ENOSYS (before Linux 5.3).
Result<UniqueFd> pidfd_open(pid_t pid, unsigned flags = 0);

// As pidfd_open(), for hot paths, where ESRCH is frequent: the error is only the errno.
std::expected<UniqueFd, int> try_pidfd_open(pid_t pid, unsigned flags = 0);

// Sends a signal to the process. Returns the errno of a failure, or 0: ESRCH it was reaped, EPERM.
int send_signal(int pidfd, int signal);

// Frees the memory of a process that has got SIGKILL now, on the time of the caller, although the
// process may be blocked and cannot do so itself. Does nothing where the kernel cannot (before
// Linux 5.15, another process with the same memory, no permission).
void release_memory(int pidfd);

// Whether the process is dead: no thread of it runs, whether it was reaped or not.
bool is_dead(int pidfd);

// The wait status of a process that was reaped, from Linux 6.15 on; nullopt: not reaped yet, or not
// known here.
std::optional<int32_t> exit_info(int pidfd);

// The wait status of a child of this process that is dead; it is not reaped. nullopt: not dead, or
// not a child of this process.
std::optional<int32_t> child_status(int pidfd);

// The wait status of a zombie, from field 52 of /proc/PID/stat. Call it only for a process known to
// be dead (is_dead()): a leader that has exited is a zombie, too, while other threads run. nullopt:
// no zombie, or field 52 is 0 because this process lacks the permission to read it.
std::optional<int32_t> zombie_status(pid_t pid);

// What this kernel supports, found out by trying.
struct PidfdFeatures {
  bool open = false;       // Linux 5.3
  bool info = false;       // PIDFD_GET_INFO, Linux 6.13
  bool exit_info = false;  // the status can be read after the reap, Linux 6.15
};

// The first call starts and reaps one child that shares the memory of this process and sends no
// signal (a few microseconds); later calls return the same result.
PidfdFeatures pidfd_features();

}  // namespace knell
