// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "event/level.h"
#include "support/child.h"

namespace knell::test {

// May this user make pid namespaces, and does this kernel tell numbers in them?
std::string lacks_pid_namespaces();

// Pid namespaces one inside the other. Each has a first process that does nothing, and all end with
// the object.
class Nested {
 public:
  explicit Nested(size_t depth);
  ~Nested();
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

  bool ok() const { return firsts_.size() == depth_; }
  // Of the namespace `level` below ours, from 1: its first process, as we call it; its inode.
  pid_t first(size_t level) const { return firsts_[level - 1]; }
  uint32_t inode(size_t level) const;

 private:
  size_t depth_;
  std::vector<pid_t> firsts_;
};

// A process inside the namespace that another is in, brought there by setns(): its parent, a child
// of ours, is outside. It runs `body`, whose result is its exit status. Its death takes no longer
// than ours.
class Inside {
 public:
  Inside(pid_t in_namespace_of, const std::function<int()>& body);
  pid_t pid() const { return pid_; }  // as we call it
  pid_t helper() const { return helper_pid_; }
  // The wait status; nullopt when it is not over by the deadline. Reaps both.
  std::optional<int> wait(const Deadline& deadline = Deadline());

 private:
  Pipe told_ = make_pipe();
  Child helper_;
  pid_t helper_pid_ = helper_.pid();  // after wait() too
  pid_t pid_ = -1;
};

// What the kernel says a living process or thread is called in each namespace below ours.
std::vector<event::Number> numbers_in_proc(pid_t tid, const Nested& nested);
// The children of a process, as we call them.
std::vector<pid_t> children_of(pid_t pid);

}  // namespace knell::test
