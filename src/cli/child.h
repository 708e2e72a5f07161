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

// A child that exists before its program does: it waits until it is told to execute, so that a
// listener can be opened for all it does. Signals that it gets meanwhile stay pending, and act when
// it executes.
//
//   create() -> waiting --go()--> runs CMD     (ends; exec_error() is 0)
//                  |       go()--> exec failed (ends; exec_error() is why)
//                  +-- destroyed: the child ends without having executed anything, and is reaped
class Child {
 public:
  static Outcome<Child> create(const std::vector<std::string>& command,
                               const BlockedSignals& signals);
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        go_(std::move(other.go_)),
        failure_(std::move(other.failure_)) {}
  Child& operator=(Child&&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  void go();
  // After it has ended: the errno of a failed exec, or 0.
  int exec_error() const;

 private:
  Child(pid_t pid, UniqueFd go, UniqueFd failure)
      : pid_(pid), go_(std::move(go)), failure_(std::move(failure)) {}

  pid_t pid_;
  UniqueFd go_;       // closed without a byte: do not execute
  UniqueFd failure_;  // brings exec's errno; closed by a successful exec
};

}  // namespace knell::cli
