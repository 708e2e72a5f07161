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
  // Returns only if the program cannot be executed; then 127.
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
// Changes this process to an ordinary user; false: not permitted.
bool become_nobody();
// Runs `body` as an ordinary user, in a process of its own; the test fails if it fails there, and
// is skipped without root.
void as_nobody(const std::function<void()>& body);

// The process that traces `pid`; 0: none, -1: no such process.
pid_t tracer_of(pid_t pid);
// Waits until `happened` returns true; false: not before the deadline.
bool wait_until(const std::function<bool()>& happened);
// The state letter in /proc/PID/stat; '\0': no such process.
char state_of(pid_t pid);

// A copy of the program exit_with that gains privileges by exec: set-user-ID, set-group-ID or file
// capabilities.
class PrivilegedProgram {
 public:
  enum class Kind { kSetUserId, kSetGroupId, kCapabilities };
  explicit PrivilegedProgram(Kind kind);
  std::string path() const { return directory_.path() + "/program"; }
  // the reason why its privileges have no effect here; empty: they have
  std::string lacking() const;

 private:
  TemporaryDirectory directory_;
  bool made_ = false;
};

}  // namespace knell::test
