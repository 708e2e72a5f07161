// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/child.h"

namespace knell::test {

// A program that starts when go() is called, as `knell run` starts its command.
class Held {
 public:
  explicit Held(const std::function<int()>& body);
  explicit Held(const std::vector<std::string>& words) : Held([&] { return execute(words); }) {}
  // Returns only when the program cannot be executed: 127.
  static int execute(const std::vector<std::string>& words);
  pid_t pid() const { return pid_; }  // also after wait()
  void go();
  std::optional<int> wait() { return child_.wait(); }
  Child& child() { return child_; }

 private:
  Pipe go_ = make_pipe();
  Child child_;
  pid_t pid_;
};

constexpr uid_t kNobody = 65534;
// Makes this process one of an ordinary user; false when it cannot.
bool become_nobody();
// Runs `body` as an ordinary user, in a process of its own; the test fails if it fails there, and
// is skipped without root.
void as_nobody(const std::function<void()>& body);

// The process that traces `pid`; 0: none, -1: no such process.
pid_t tracer_of(pid_t pid);
// Whether it becomes true before the deadline.
bool wait_until(const std::function<bool()>& happened);
// Of /proc/PID/stat; '\0': no such process.
char state_of(pid_t pid);

// A copy of the program exit_with whose file grants more than its user has.
class PrivilegedProgram {
 public:
  enum class Kind { kSetUserId, kSetGroupId, kCapabilities };
  explicit PrivilegedProgram(Kind kind);
  std::string path() const { return directory_.path() + "/program"; }
  std::string lacking() const;  // why its privileges do not count here

 private:
  TemporaryDirectory directory_;
  bool made_ = false;
};

}  // namespace knell::test
