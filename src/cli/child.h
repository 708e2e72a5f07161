// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "cli/blocked_signals.h"

namespace knell::cli {

// A child process that is forked before its program is executed: it waits for go(), so that a
// listener can be opened first and receives every event of the program. Signals sent to the child
// meanwhile stay pending until it executes.
//
//   create() -> waiting --go()--> runs CMD     (ends; exec_error() is 0)
//                  |       go()--> exec failed (ends; exec_error() is the errno)
//                  +-- destroyed: the child ends without having executed anything, and is reaped
class Child {
 public:
  static Outcome<Child> create(const std::vector<std::string>& command,
                               const BlockedSignals& signals);
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        go_(std::move(other.go_)),
        failure_(std::move(other.failure_)),
        traceable_(std::move(other.traceable_)) {}
  Child& operator=(Child&&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  // Waits until the child has permitted its siblings to trace it, which is necessary where
  // kernel.yama.ptrace_scope is 1.
  void wait_until_traceable() const;
  void go();
  // To be called after the child has ended: the errno of a failed exec, or 0.
  int exec_error() const;

 private:
  Child(pid_t pid, UniqueFd go, UniqueFd failure, UniqueFd traceable)
      : pid_(pid),
        go_(std::move(go)),
        failure_(std::move(failure)),
        traceable_(std::move(traceable)) {}

  pid_t pid_;
  UniqueFd go_;         // if closed without a byte, the child exits without executing
  UniqueFd failure_;    // carries the errno of exec; a successful exec closes it
  UniqueFd traceable_;  // a byte means that the child can be traced, see wait_until_traceable()
};

}  // namespace knell::cli
