// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/event_copy.h"

namespace knell::cli {

// The processes that `knell tree` shows at one time: those of a snapshot, and those that ended a
// moment ago. A process is below its parent if both are in the tree; children are in the order of
// their start. A new snapshot makes a new tree. Not thread-safe.
//
//   { add() }* -> { add_ended() }* -> hide() -> collapse() -> walk()
class ProcessTree {
 public:
  struct Node {
    explicit Node(const knell_event& event) : copy(event) {}
    const knell_event& event() const { return copy.event(); }
    bool alive() const { return copy.event().type != KNELL_EVENT_EXIT; }

    EventCopy copy;
    std::vector<uint32_t> children;  // indexes
    bool hidden = false, visited = false;
    // For how many processes the node stands, itself included; how many of these failed, and the
    // last of these, by the time of its end, among all and among the failed ones.
    size_t repeats = 1, failed = 0;
    uint32_t last = 0, last_failed = 0;
  };

  // Adds a process of a snapshot.
  void add(const knell_event& event);
  // Adds an exit; it replaces the process of the snapshot if that is the same process.
  void add_ended(const knell_event& event);

  size_t alive() const;
  size_t size() const { return nodes_.size(); }
  const Node& operator[](uint32_t index) const { return nodes_[index]; }

  // Leaves out the processes for which is_hidden(event) is true. What is below one of them is shown
  // one level higher. Returns their number.
  template <class F>
  size_t hide(F is_hidden) {
    size_t count = 0;
    for (Node& node : nodes_) count += (node.hidden = is_hidden(node.event())) ? 1 : 0;
    return count;
  }

  // Lets one node, the first, stand for at least kLeastRepeats siblings that have the same
  // key_of(event): those that have ended, with all their children below the one node; and those
  // that are alive, if they have no children. Up to kMostFailures that failed are left as they are.
  static constexpr size_t kLeastRepeats = 4;  // chosen: fewer lines are easier to read than a sum
  static constexpr size_t kMostFailures = 3;
  template <class F>
  void collapse(F key_of) {
    link();
    collapse(tops_, key_of);
    std::vector<uint32_t> left(tops_);
    while (!left.empty()) {
      std::vector<uint32_t>& children = nodes_[left.back()].children;
      left.pop_back();
      collapse(children, key_of);
      left.insert(left.end(), children.begin(), children.end());
    }
  }

  // The place of a node: `more` says for each level, from that below the top on, whether a further
  // sibling follows, so that a vertical line must be drawn.
  struct Place {
    size_t depth = 0;
    const std::vector<bool>& more;
  };
  enum class Next : uint8_t { kGoOn, kStop };
  // Calls visit(node, place) for each node that is not hidden, until it returns kStop. Is not
  // recursive, so any depth is possible. Can be called once.
  template <class F>
  void walk(F visit) {
    link();
    for (const uint32_t top : tops_)
      if (walk_from(top, visit) == Next::kStop) return;
    // The remaining nodes are in a cycle of parents: pids that were reused within one clock tick.
    for (uint32_t i = 0; i < nodes_.size(); ++i)
      if (!nodes_[i].visited && !nodes_[i].hidden && nodes_[i].repeats != 0 &&
          walk_from(i, visit) == Next::kStop)
        return;
  }

 private:
  template <class F>
  void collapse(std::vector<uint32_t>& siblings, F& key_of) {
    if (siblings.size() < kLeastRepeats) return;
    std::unordered_map<std::string, std::vector<uint32_t>> same;
    for (const uint32_t i : siblings) {
      const bool alive = nodes_[i].alive();
      if (!alive || nodes_[i].children.empty())
        same[(alive ? "+" : "-") + key_of(nodes_[i].event())].push_back(i);
    }
    for (auto& [key, repeats] : same) join(std::move(repeats));
    std::erase_if(siblings, [this](uint32_t i) { return nodes_[i].repeats == 0; });
  }
  void join(std::vector<uint32_t> repeats);

  struct Frame {
    uint32_t node;
    size_t next;  // of its children
  };
  void link();
  void push(const knell_event& event);
  uint32_t parent_of(uint32_t child) const;
  uint32_t shown_parent_of(uint32_t child) const;

  template <class F>
  Next walk_from(uint32_t top, F& visit) {
    std::vector<Frame> path;
    std::vector<bool> more;
    const auto enter = [&](uint32_t index) {
      Node& node = nodes_[index];
      node.visited = true;
      const Place place{.depth = path.size(), .more = more};
      path.push_back({index, 0});
      return visit(std::as_const(node), place);
    };
    Next next = enter(top);
    while (next == Next::kGoOn && !path.empty()) {
      Frame& frame = path.back();
      const std::vector<uint32_t>& children = nodes_[frame.node].children;
      more.resize(path.size() - 1);
      if (frame.next == children.size()) {
        path.pop_back();
        continue;
      }
      const uint32_t child = children[frame.next++];
      more.push_back(frame.next < children.size());
      if (!nodes_[child].visited) next = enter(child);
    }
    return next;
  }

  static constexpr uint32_t kNone = UINT32_MAX;
  std::deque<Node> nodes_;
  std::unordered_multimap<pid_t, uint32_t> by_pid_;
  std::vector<uint32_t> tops_;
  bool linked_ = false;
};

// The exit of a process, of which only the status is known, completed with the details that the
// process had when it was alive. The strings are those of `living`.
knell_event with_details_of(const knell_event& exit, const knell_event& living);

}  // namespace knell::cli
