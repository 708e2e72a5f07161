// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/process_tree.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "cli/summary.h"

namespace knell::cli {
namespace {

bool has_start(const knell_id& id) { return id.kind == KNELL_ID_START; }

// Whether `exit` is the exit of the process `living`: both have the same start, or a start is
// unknown and the exit is later than the time at which the process was seen alive.
bool is_exit_of(const knell_event& exit, const knell_event& living) {
  if (has_start(exit.id) && has_start(living.id)) return exit.id.start == living.id.start;
  return exit.mono_ns >= living.mono_ns;
}

// The sort key of the start order; processes with an unknown start come last.
std::tuple<bool, uint64_t, pid_t> birth(const knell_event& event) {
  return {!has_start(event.id), event.id.start, event.pid};
}

}  // namespace

void ProcessTree::push(const knell_event& event) {
  by_pid_.emplace(event.pid, static_cast<uint32_t>(nodes_.size()));
  nodes_.emplace_back(event);
}

void ProcessTree::add(const knell_event& event) { push(event); }

void ProcessTree::add_ended(const knell_event& event) {
  const auto [first, last] = by_pid_.equal_range(event.pid);
  for (auto at = first; at != last; ++at) {
    Node& node = nodes_[at->second];
    if (!node.alive() || !is_exit_of(event, node.event())) continue;
    node.copy =
        EventCopy(event.comm.data == nullptr ? with_details_of(event, node.event()) : event);
    return;
  }
  push(event);
}

knell_event with_details_of(const knell_event& exit, const knell_event& living) {
  constexpr uint64_t kOfExits = KNELL_HAS_STATUS | KNELL_HAS_DURATION;
  knell_event event = living;
  event.type = exit.type;
  event.via = exit.via;
  event.mono_ns = exit.mono_ns;
  event.time_ns = exit.time_ns;
  event.wait_status = exit.wait_status;
  event.duration_ns = exit.duration_ns;
  event.has = (living.has & ~kOfExits) | (exit.has & kOfExits);
  event.flags |= exit.flags;
  return event;
}

size_t ProcessTree::alive() const {
  return static_cast<size_t>(
      std::ranges::count_if(nodes_, [](const Node& node) { return node.alive(); }));
}

// The node of the parent of `child`; kNone: the parent is not in the tree. If the parent has ended,
// a younger process may have its pid by now.
uint32_t ProcessTree::parent_of(uint32_t child) const {
  const knell_event& event = nodes_[child].event();
  uint32_t found = kNone;
  const auto [first, last] = by_pid_.equal_range(event.ppid);
  for (auto at = first; event.ppid != 0 && at != last; ++at) {
    const knell_id& id = nodes_[at->second].event().id;
    if (at->second == child) continue;
    if (has_start(event.parent_id) && has_start(id)) {
      if (event.parent_id.start == id.start) return at->second;
      continue;
    }
    if (has_start(event.id) && has_start(id) && id.start > event.id.start) continue;
    // Of several processes that had this pid, takes the youngest, or the one that is alive.
    if (found == kNone || birth(nodes_[found].event()) < birth(nodes_[at->second].event()))
      found = at->second;
  }
  return found;
}

uint32_t ProcessTree::shown_parent_of(uint32_t child) const {
  uint32_t parent = parent_of(child);
  // Bounded by the number of nodes, since hidden parents may be in a cycle.
  for (size_t i = 0; parent != kNone && nodes_[parent].hidden; ++i)
    parent = i < nodes_.size() ? parent_of(parent) : kNone;
  return parent;
}

// Joins nodes with the same key, if they are enough.
void ProcessTree::join(std::vector<uint32_t> repeats) {
  const auto failed = [this](uint32_t i) { return is_failure(nodes_[i].event()); };
  if (static_cast<size_t>(std::ranges::count_if(repeats, failed)) <= kMostFailures)
    std::erase_if(repeats, failed);
  if (repeats.size() < kLeastRepeats) return;
  Node& first = nodes_[repeats.front()];
  first.last = repeats.front();
  for (const uint32_t i : repeats) {
    Node& node = nodes_[i];
    const knell_event& event = node.event();
    if (event.mono_ns > nodes_[first.last].event().mono_ns) first.last = i;
    if (failed(i)) {
      if (first.failed == 0 || event.mono_ns >= nodes_[first.last_failed].event().mono_ns)
        first.last_failed = i;
      ++first.failed;
    }
    if (&node == &first) continue;
    node.repeats = 0;
    first.children.insert(first.children.end(), node.children.begin(), node.children.end());
    node.children.clear();
  }
  first.repeats = repeats.size();
  std::ranges::sort(first.children, {}, [this](uint32_t i) { return birth(nodes_[i].event()); });
}

void ProcessTree::link() {
  if (std::exchange(linked_, true)) return;
  std::vector<uint32_t> order(nodes_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [this](uint32_t i) { return birth(nodes_[i].event()); });
  for (const uint32_t i : order) {
    if (nodes_[i].hidden) continue;
    const uint32_t parent = shown_parent_of(i);
    (parent != kNone ? nodes_[parent].children : tops_).push_back(i);
  }
}

}  // namespace knell::cli
