// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Kills a process at its n-th system call that changes a file.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace knell::journal {

inline bool changes_files(const __ptrace_syscall_info& call) {
  switch (call.entry.nr) {
    case SYS_pwrite64:
    case SYS_ftruncate:
    case SYS_fallocate:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlinkat:
#ifdef SYS_rename
    case SYS_rename:
    case SYS_unlink:
#endif
      return true;
    case SYS_openat:
      return (call.entry.args[2] & O_CREAT) != 0;
    default:
      return false;
  }
}

enum class Outcome { kFinished, kKilled, kCannotTrace };

// Runs `work` in a child, which is killed at the start of the n-th call of any of its threads that
// changes a file. `on_sync` is called after a call has synced this file. The caller must have one
// thread.
inline Outcome run_until(int n, const std::function<void()>& work,
                         const std::function<void(const std::filesystem::path&)>& on_sync = {}) {
  namespace fs = std::filesystem;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) return Outcome::kCannotTrace;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE);
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  std::map<pid_t, fs::path> synced;  // the file of the current call of each thread
  bool killed = false;
  for (;;) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) {
      ADD_FAILURE() << "the child has disappeared";
      return Outcome::kKilled;
    }
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (thread != child) continue;
      EXPECT_TRUE(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) << status;
      return killed ? Outcome::kKilled : Outcome::kFinished;
    }
    int signal = WSTOPSIG(status);
    if (signal == SIGTRAP || signal == SIGSTOP) signal = 0;  // a new thread
    if (signal == (SIGTRAP | 0x80)) {
      signal = 0;
      __ptrace_syscall_info info{};
      ::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), thread, sizeof info, &info);
      fs::path file = std::exchange(synced[thread], {});
      if (info.op == PTRACE_SYSCALL_INFO_EXIT && !file.empty() && on_sync) on_sync(file);
      if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        if (info.entry.nr == SYS_fsync || info.entry.nr == SYS_fdatasync) {
          std::error_code ignored;
          file = fs::read_symlink(
              "/proc/" + std::to_string(child) + "/fd/" + std::to_string(info.entry.args[0]),
              ignored);
          if (!fs::is_directory(file, ignored)) synced[thread] = file;
        }
        if (changes_files(info) && --n <= 0) {
          killed = true;
          ::kill(child, SIGKILL);
        }
      }
    }
    if (!killed) ::ptrace(PTRACE_SYSCALL, thread, nullptr, signal);
  }
}

}  // namespace knell::journal
