// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/child.h"

namespace knell::test {

// A running `knell` command, whose output is read line by line. It is killed when this object is
// destroyed.
class Command {
 public:
  // `words` without the command's own name. The standard error of the command is that of this
  // process. `before`: a program that runs the command, and its arguments.
  explicit Command(const std::vector<std::string>& words, std::vector<std::string> before = {});
  pid_t pid() const { return child_.pid(); }
  Child& child() { return child_; }

  // The next line, without its newline; nullopt: at the end of the output, or when the deadline has
  // passed (timed_out()).
  std::optional<std::string> line(const Deadline& deadline = Deadline());
  bool timed_out() const { return timed_out_; }

  // Calls `knock`, which causes an event that the command must report, again and again until the
  // command prints a line: then it listens. False: it never printed one. Further lines about these
  // events may follow.
  bool wait_until_listening(const std::function<void()>& knock);

 private:
  bool fill(const Deadline& deadline);

  Pipe output_;
  Child child_;
  std::string text_;
  size_t taken_ = 0;
  bool timed_out_ = false;
};

// The reason why the command cannot be run here; empty: it can.
std::string lacks_knell_command();

}  // namespace knell::test
