// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell {

// Opens a pidfd of a process that a user named, to see later whether it has died. `start`: field 22
// of its /proc/PID/stat, to detect a reused pid; 0: any process with this pid. The descriptor is
// empty where none can be opened (no free descriptors, an old kernel). A zombie counts as a
// process. Errors: EINVAL the pid is not above 0; ESRCH there is no such process (any more), or the
// id is that of a thread.
Result<UniqueFd> open_named_process(pid_t pid, uint64_t start);

// The start of a process, as in open_named_process(); 0: unknown, for example since it was reaped,
// or /proc is that of another pid namespace. `pidfd`: what that function returned; -1: of any
// process that has the pid now.
uint64_t start_of_named(pid_t pid, int pidfd = -1);

// Explains why pidfd_open() failed with `error`.
std::unexpected<Error> no_pidfd(pid_t pid, int error);

// Whether a process with this pid exists, dead or alive.
bool process_exists(pid_t pid);

enum class Life : uint8_t {
  kAlive,
  kEnded,   // no thread of it runs, or another process or a thread has its pid
  kUnknown  // there are no free descriptors
};
// Whether the process with this pid and `start` (0: unknown) has ended. `ret_pidfd` is set to its
// pidfd if that can be opened and is certainly of this process.
Life life_of(pid_t pid, uint64_t start, UniqueFd& ret_pidfd);

// The process of the thread `id`; nullopt: `id` is a process, or no thread has it.
std::optional<pid_t> process_of_thread(pid_t id);

}  // namespace knell
