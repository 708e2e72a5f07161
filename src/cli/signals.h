// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <chrono>
#include <initializer_list>
#include <vector>

#include "base/unique_fd.h"
#include "cli/failure.h"

namespace knell::cli {

// Signals as a descriptor to poll. They are caught by handlers, and unblocked: the process that
// started this one may have blocked them. A signalfd would need them blocked,
// and Ctrl-C must interrupt a write that waits for a slow reader. A signal that comes just before
// such a write blocks would be missed, so SIGINT and SIGTERM start an alarm that repeats every
// second. At most one object a process.
class Signals {
 public:
  static Outcome<Signals> create(std::initializer_list<int> caught,
                                 std::initializer_list<int> ignored);

  int fd() const { return fd_.get(); }  // POLLIN: call clear(), then count()
  void clear();
  static int count(int signal);  // how often it has arrived
  static bool stopped() { return count(SIGINT) + count(SIGTERM) > 0; }

  // After `time` from now, ending() is true, and the alarm repeats as after SIGINT.
  static void end_after(std::chrono::nanoseconds time);
  // Whether this process is to end, and must no longer wait for a slow reader without limit.
  static bool ending();

  // Ignores SIGPIPE and SIGXFSZ, which would kill this process when a write fails; ignored, the
  // write returns an error. Call once for the whole program, before anything is written.
  static void ignore_failing_writes();
  // Restores the handling from before ignore_failing_writes(). Async-signal-safe.
  static void restore_failing_writes();

  // For a child process, before execve(2): restores the mask and the handling from before create()
  // and ignore_failing_writes(). Async-signal-safe.
  void restore() const;
  // The signals whose handling is changed, for posix_spawnattr_setsigdefault().
  sigset_t changed() const;
  // The signals that were blocked before create(), for posix_spawnattr_setsigmask().
  const sigset_t& mask_before() const { return mask_before_; }

 private:
  struct Before {
    int signal;
    struct sigaction action;
  };
  Signals(UniqueFd fd, std::vector<Before> before, const sigset_t& mask)
      : fd_(std::move(fd)), before_(std::move(before)), mask_before_(mask) {}

  UniqueFd fd_;
  std::vector<Before> before_;
  sigset_t mask_before_;
};

}  // namespace knell::cli
