// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "base/proc_stat.h"

namespace knell {

// Like fork(2), with a pid, if it is not 0: that of a process which was reaped. -1: this needs
// CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
inline pid_t fork_with(pid_t pid) {
  if (pid == 0) return ::fork();
  clone_args args{};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<uintptr_t>(&pid);
  args.set_tid_size = 1;
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

inline uint64_t start_of(pid_t pid) {
  const auto stat = read_proc_stat(pid);
  return stat ? stat->start : 0;
}

// As fork_with(), and the child has another start than `before`: starts have a resolution of 10 ms.
// In the child it may return several times; the children that have the same start are killed.
inline pid_t fork_later_with(pid_t pid, uint64_t before) {
  for (;;) {
    const pid_t made = fork_with(pid);
    if (made <= 0 || start_of(made) != before) return made;
    ::kill(made, SIGKILL);
    ::waitpid(made, nullptr, 0);
  }
}

}  // namespace knell
