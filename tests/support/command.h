// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/child.h"

namespace knell::test {

// A run of the `knell` command whose output is read line by line. The command ends with this
// object.
class Command {
 public:
  // `words` without the command's own name. The standard error of the command is that of this
  // process. `before`: a program that runs the command, and its arguments.
  explicit Command(const std::vector<std::string>& words, std::vector<std::string> before = {});
  pid_t pid() const { return child_.pid(); }
  Child& child() { return child_; }

  // The next line, without its newline; nullopt at the end of its output, or when the deadline
  // passes (timed_out()).
  std::optional<std::string> line(const Deadline& deadline = Deadline());
  bool timed_out() const { return timed_out_; }

  // Calls `knock`, which causes an event that the command must report, until the command prints a
  // line: then it listens. False when it never does. Lines about earlier knocks may still follow.
  bool wait_until_listening(const std::function<void()>& knock);

 private:
  bool fill(const Deadline& deadline);

  Pipe output_;
  Child child_;
  std::string text_;
  size_t taken_ = 0;
  bool timed_out_ = false;
};

// Why there is no command to run here; nothing when there is.
std::string lacks_knell_command();

}  // namespace knell::test
