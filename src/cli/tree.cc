// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/tree.h"

#include <knell/knell.hpp>
#include <vector>

#include "base/proc_stat.h"
#include "cli/text.h"

namespace knell::cli {

void Tree::add(const knell_event& event, const Alive& alive) {
  switch (event.type) {
    case KNELL_EVENT_FORK:
      add_fork(event);
      break;
    case KNELL_EVENT_EXEC:
    case KNELL_EVENT_EXIT: {
      const auto found = nodes_.find(event.pid);
      // An exec may change the name; an exit may have the name where no exec event had it.
      if (found != nodes_.end() && event.comm.data != nullptr)
        found->second.name = view(event.comm);
      break;
    }
    default:
      break;
  }
  if (event.type == KNELL_EVENT_EXIT) end(event.pid);
  if (nodes_.size() > limit_) sweep(alive);
}

void Tree::add_fork(const knell_event& event) {
  if (event.child_tid != 0 && event.child_tid != event.child_pid) return;  // a thread
  if (event.child_pid == root_) return;
  ++processes_;
  remove(event.child_pid);  // an earlier process with this pid, whose exit was lost
  const auto parent = nodes_.find(event.pid == root_parent_ ? root_ : event.pid);
  Node node;
  node.start = event.child_id.kind == KNELL_ID_START ? event.child_id.start : 0;
  node.name = parent != nodes_.end() ? parent->second.name : std::string(view(event.comm));
  if (parent != nodes_.end()) {
    node.parent = parent->first;
    ++parent->second.children;
  }
  nodes_[event.child_pid] = std::move(node);
}

void Tree::end(pid_t pid) {
  const auto found = nodes_.find(pid);
  if (found == nodes_.end()) return;
  found->second.ended = true;
  if (found->second.children == 0) remove(pid);
}

// Removes an entry, and each entry above it whose process has ended and which has no child left.
void Tree::remove(pid_t pid) {
  while (pid != root_) {
    const auto found = nodes_.find(pid);
    if (found == nodes_.end()) return;
    const pid_t parent = found->second.parent;
    nodes_.erase(found);
    const auto above = nodes_.find(parent);
    if (above == nodes_.end() || above->second.children == 0) return;
    if (--above->second.children != 0 || !above->second.ended) return;
    pid = parent;
  }
}

void Tree::sweep(const Alive& alive) {
  std::vector<pid_t> gone;
  for (const auto& [pid, node] : nodes_) {
    if (pid != root_ && !node.ended && !alive(pid, node.start)) gone.push_back(pid);
  }
  for (const pid_t pid : gone) end(pid);
  // Raise the limit, otherwise a large tree of living processes would be swept at each fork.
  limit_ = std::max(limit_, 2 * nodes_.size());
}

std::string_view Tree::name(pid_t pid) const {
  const auto found = nodes_.find(pid);
  return found == nodes_.end() ? std::string_view() : found->second.name;
}

std::string Tree::ancestry(const knell_event& event, Spelling spelling) const {
  const auto spelled = [&](std::string_view name) {
    return spelling == Spelling::kPrinted ? name_text(name) : std::string(name);
  };
  auto node = nodes_.find(event.pid);
  std::string out = event.comm.data != nullptr ? spelled(view(event.comm))
                    : node != nodes_.end()     ? spelled(node->second.name)
                                               : "?";
  if (node == nodes_.end()) {
    if (event.parent_comm.data != nullptr) out += " <- " + spelled(view(event.parent_comm));
    return out;
  }
  for (size_t depth = 1; node->first != root_; ++depth) {
    node = nodes_.find(node->second.parent);
    if (node == nodes_.end()) return out;
    if (depth == kDepth) return out + " <- …";
    out += " <- " + spelled(node->second.name);
  }
  return out;
}

size_t Tree::count_alive(const Alive& alive) const {
  size_t count = 0;
  for (const auto& [pid, node] : nodes_) {
    if (pid != root_ && !node.ended && alive(pid, node.start)) ++count;
  }
  return count;
}

bool alive_in_proc(pid_t pid, uint64_t start) {
  const auto stat = read_proc_stat(pid);
  if (!stat || (start != 0 && stat->start != start)) return false;
  return stat->state != 'X' && (stat->state != 'Z' || stat->threads > 1);
}

}  // namespace knell::cli
