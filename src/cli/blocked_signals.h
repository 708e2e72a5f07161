// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <optional>

#include "base/unique_fd.h"
#include "cli/failure.h"

namespace knell::cli {

// Blocks all signals of this process and takes them one at a time, with sender and value. `knell
// run` passes them on to CMD. A blocked signal stays pending even where it is ignored, and a
// blocked stop signal does not stop the process. At most one object a process, created before any
// thread starts.
class BlockedSignals {
 public:
  static Outcome<BlockedSignals> create();

  int fd() const { return fd_.get(); }  // POLLIN: a signal is pending
  sigset_t pending() const;
  // Takes one pending signal of `these`, or any pending signal; nullopt: none is pending.
  std::optional<siginfo_t> take(const sigset_t& these) const;
  std::optional<siginfo_t> take() const;

  // Stops this process as the default action of `signal` does. Returns when the process is
  // continued, or at once where the kernel ignores the signal (an orphaned process group).
  void stop(int signal) const;
  // Ends this process as the default action of `signal` does, without a core dump. Returns only
  // where that is impossible (the init process of a pid namespace).
  void die(int signal) const;

  // For a child process, before execve(2): restores the signal mask and handlers from before
  // create() and before Signals::ignore_failing_writes(). Async-signal-safe.
  void restore() const;

 private:
  BlockedSignals(UniqueFd fd, const sigset_t& mask, const struct sigaction& child)
      : fd_(std::move(fd)), mask_before_(mask), child_before_(child) {}

  void take_default(int signal) const;

  UniqueFd fd_;
  sigset_t mask_before_;
  struct sigaction child_before_;  // the handling of SIGCHLD before create()
};

}  // namespace knell::cli
