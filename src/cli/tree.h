// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace knell::cli {

// The processes under one, known from their forks and execs: who came from whom, and what they are
// called. Small on purpose: an entry that ended goes once nobody under it is left, and when exits
// of zero are not heard of, a sweep asks for the living when the tree has grown too large.
class Tree {
 public:
  // Whether the process with this pid and start (0: not known) still lives.
  using Alive = std::function<bool(pid_t, uint64_t start)>;

  // A process that `root_parent` makes is the root's: it made it with CLONE_PARENT. 0: none does.
  explicit Tree(pid_t root, pid_t root_parent = 0, size_t limit = 65536)
      : root_(root), root_parent_(root_parent), limit_(limit) {
    nodes_[root].name = "?";
  }

  // Takes in a fork, an exec or an exit.
  void add(const knell_event& event, const Alive& alive);
  // What a process was called when last heard of, as it is; empty where it was not.
  std::string_view name(pid_t pid) const;
  // "cc1 <- gcc <- make", up to the root; at most kDepth names.
  enum class Spelling { kPrinted, kRaw };
  std::string ancestry(const knell_event& event, Spelling spelling = Spelling::kPrinted) const;
  // All there ever were, the root included.
  uint64_t processes() const { return processes_; }
  size_t count_alive(const Alive& alive) const;
  size_t size() const { return nodes_.size(); }

 private:
  static constexpr size_t kDepth = 8;  // picked: more than anybody reads
  struct Node {
    pid_t parent = 0;
    uint64_t start = 0;
    bool ended = false;
    uint32_t children = 0;  // entries whose parent this is
    std::string name;
  };
  void add_fork(const knell_event& event);
  void end(pid_t pid);
  void remove(pid_t pid);
  void sweep(const Alive& alive);

  pid_t root_, root_parent_;
  size_t limit_;
  uint64_t processes_ = 1;
  std::unordered_map<pid_t, Node> nodes_;
};

// By /proc: not there, another start, or a zombie is not alive.
bool alive_in_proc(pid_t pid, uint64_t start);

}  // namespace knell::cli
