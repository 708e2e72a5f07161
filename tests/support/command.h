// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/child.h"

namespace knell::test {

// A run of the `knell` command whose output is read line by line. Ends with this object.
class Command {
 public:
  // `words` without the command's own name. What it says on standard error goes to ours. `before`:
  // the program that runs it, and its words.
  explicit Command(const std::vector<std::string>& words, std::vector<std::string> before = {});
  pid_t pid() const { return child_.pid(); }
  Child& child() { return child_; }

  // The next line, without its newline; nullopt at the end of its output, or when the deadline
  // passes (timed_out()).
  std::optional<std::string> line(const Deadline& deadline = Deadline());
  bool timed_out() const { return timed_out_; }

  // Calls `knock`, which makes something happen that the command is to tell, until it tells
  // something: then it listens. False when it never does. What it told of knocks may still be
  // followed by more of them.
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
