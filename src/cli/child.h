// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "cli/signals.h"

namespace knell::cli {

// A child that is there before its program is: it waits until it is told to execute, so that
// whoever wants to hear of all it does can get ready.
//
//   create() -> waiting --go()--> runs CMD      (go() returns once exec has succeeded)
//                  |       go()--> exec failed  (go() returns the failure; the child is reaped)
//                  +-- destroyed: the child ends without having executed anything, and is reaped
class Child {
 public:
  static Outcome<Child> create(const std::vector<std::string>& command, const Signals& signals);
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        go_(std::move(other.go_)),
        failure_(std::move(other.failure_)),
        name_(std::move(other.name_)) {}
  Child& operator=(Child&&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  // Errors: kCannotRun, kNotFound.
  Outcome<void> go();

 private:
  Child(pid_t pid, UniqueFd go, UniqueFd failure, std::string name)
      : pid_(pid), go_(std::move(go)), failure_(std::move(failure)), name_(std::move(name)) {}

  pid_t pid_;
  UniqueFd go_;       // closed without a byte: do not execute
  UniqueFd failure_;  // brings exec's errno; closed by a successful exec
  std::string name_;
};

}  // namespace knell::cli
