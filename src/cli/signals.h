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

// Signals as a descriptor to poll. Caught with handlers and not with a signalfd, for which they
// would have to be blocked: a write to a reader that reads no more must be interrupted by Ctrl-C,
// not wait for ever. A signal that comes just before such a write blocks would be missed, so SIGINT
// and SIGTERM set an alarm that knocks every second. One object a process.
class Signals {
 public:
  static Outcome<Signals> create(std::initializer_list<int> caught,
                                 std::initializer_list<int> ignored);

  int fd() const { return fd_.get(); }  // POLLIN: call clear(), then look at count()
  void clear();
  static int count(int signal);  // how often it came
  static bool stopped() { return count(SIGINT) + count(SIGTERM) > 0; }

  // From `time` on the alarm knocks as it does after SIGINT, and it is over().
  static void end_after(std::chrono::nanoseconds time);
  // Whether we are to end, so that nothing should wait for a reader any more.
  static bool over();

  // SIGPIPE and SIGXFSZ would kill us where a write fails: ignored, the write says what is wrong.
  // For the whole program, before anything is written.
  static void ignore_failing_writes();
  // As they were before that. Async-signal-safe.
  static void restore_failing_writes();

  // In a child, before it executes: as they were before we changed them. Async-signal-safe.
  void restore() const;
  // The signals whose handling we changed, for posix_spawnattr_setsigdefault().
  sigset_t changed() const;

 private:
  struct Before {
    int signal;
    struct sigaction action;
  };
  Signals(UniqueFd fd, std::vector<Before> before)
      : fd_(std::move(fd)), before_(std::move(before)) {}

  UniqueFd fd_;
  std::vector<Before> before_;
};

}  // namespace knell::cli
