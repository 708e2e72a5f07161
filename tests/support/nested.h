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
#include "event/namespace_pids.h"
#include "support/child.h"

namespace knell::test {

// Whether this user may make pid namespaces, and this kernel shows the pids in them.
std::string lacks_pid_namespaces();

// Nested pid namespaces. Each has a first process that does nothing. All end with the object.
class Nested {
 public:
  explicit Nested(size_t depth);
  ~Nested();
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

  bool ok() const { return firsts_.size() == depth_; }
  // The first process of the namespace `level` levels below that of this process, from 1, by its
  // pid in the namespace of this process; and the inode of that namespace.
  pid_t first(size_t level) const { return firsts_[level - 1]; }
  uint32_t inode(size_t level) const;

 private:
  size_t depth_;
  std::vector<pid_t> firsts_;
};

// A process in the namespace of another process, which it enters by setns(): its parent, a child of
// this process, is outside. It runs `body`, whose result is its exit status. It does not outlive
// this process.
class Inside {
 public:
  Inside(pid_t in_namespace_of, const std::function<int()>& body);
  pid_t pid() const { return pid_; }  // in the pid namespace of this process
  pid_t helper() const { return helper_pid_; }
  // The wait status of the process; nullopt: it has not ended by the deadline. Reaps it and its
  // parent.
  std::optional<int> wait(const Deadline& deadline = Deadline());

 private:
  Pipe told_ = make_pipe();
  Child helper_;
  pid_t helper_pid_ = helper_.pid();  // after wait() too
  pid_t pid_ = -1;
};

// The pids of a living process or thread in each namespace below that of this process, as the
// kernel shows them.
std::vector<event::NamespacePid> numbers_in_proc(pid_t tid, const Nested& nested);
// The pids of the children of a process, in the pid namespace of this process.
std::vector<pid_t> children_of(pid_t pid);

}  // namespace knell::test
