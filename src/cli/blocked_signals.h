// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <optional>

#include "base/unique_fd.h"
#include "cli/failure.h"

namespace knell::cli {

// All signals of this process, blocked, and taken one at a time with their sender and value: for
// `run`, which passes them on. A blocked signal waits even where it is ignored, and a stop signal
// does not stop. One object a process, made before there are threads.
class BlockedSignals {
 public:
  static Outcome<BlockedSignals> create();

  int fd() const { return fd_.get(); }  // POLLIN: take() has one
  sigset_t pending() const;
  // One of `these`, or of all.
  std::optional<siginfo_t> take(const sigset_t& these) const;
  std::optional<siginfo_t> take() const;

  // Stops this process as `signal` does by default; returns when it was continued, or at once where
  // the kernel ignores the signal (an orphaned process group).
  void stop(int signal) const;
  // Ends this process as `signal` does by default, without a core; returns where that is impossible
  // (the init process of a pid namespace).
  void die(int signal) const;

  // In a child, before it executes: mask and handling as they were before create(), and before
  // Signals::ignore_failing_writes(). Async-signal-safe.
  void restore() const;

 private:
  BlockedSignals(UniqueFd fd, const sigset_t& mask, const struct sigaction& child)
      : fd_(std::move(fd)), mask_before_(mask), child_before_(child) {}

  void take_default(int signal) const;

  UniqueFd fd_;
  sigset_t mask_before_;
  struct sigaction child_before_;  // of SIGCHLD
};

}  // namespace knell::cli
