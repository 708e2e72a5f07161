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

// The processes under a root, learned from fork and exec events: the parent and name of each. To
// stay small, it removes the entry of a process that ended once no process is left under it. An
// exit event can be lost, so when the tree exceeds its limit, processes that are no longer alive
// are removed.
class Tree {
 public:
  // Whether the process with this pid and start (0: unknown) is alive.
  using Alive = std::function<bool(pid_t, uint64_t start)>;

  // A fork by `root_parent` counts as one by the root, which used CLONE_PARENT; 0: there is none.
  // `limit`: the number of entries above which processes are checked and removed.
  explicit Tree(pid_t root, pid_t root_parent = 0, size_t limit = 65536)
      : root_(root), root_parent_(root_parent), limit_(limit) {
    nodes_[root].name.assign(1, '?');  // at -O2 gcc 12 warns of = "?" without a reason
  }

  // Updates the tree by a fork, an exec or an exit.
  void add(const knell_event& event, const Alive& alive);
  // The last known name of a process, not made printable; empty: unknown process.
  std::string_view name(pid_t pid) const;
  // "cc1 <- gcc <- make", up to the root; at most kDepth names.
  enum class Spelling { kPrinted, kRaw };
  std::string ancestry(const knell_event& event, Spelling spelling = Spelling::kPrinted) const;
  // How many processes there have been, the root included.
  uint64_t processes() const { return processes_; }
  size_t count_alive(const Alive& alive) const;
  size_t size() const { return nodes_.size(); }

 private:
  static constexpr size_t kDepth = 8;  // chosen, not measured
  struct Node {
    pid_t parent = 0;
    uint64_t start = 0;
    bool ended = false;
    uint32_t children = 0;  // entries that have this one as parent
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

// Whether /proc has a process with this pid and start (0: any) that is no zombie. A leader that is
// a zombie counts as alive while other threads run.
bool alive_in_proc(pid_t pid, uint64_t start);

}  // namespace knell::cli
