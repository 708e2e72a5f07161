// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// For each root that a listener names, the processes under it: those whose chain of parents at birth
// leads to the root. A process stays under its root when it is reparented. A process whose link to
// the root died before knell started is not found.
#include <algorithm>
#include <utility>

#include "process/table.h"

namespace knell::process {

bool Table::follow(std::span<const int32_t> roots) {
  keep_only(roots);
  bool room = true, fresh = false;
  for (const int32_t root : roots) {
    if (is_root(root)) continue;
    room &= add_root(root);
    fresh = true;
  }
  if (fresh) {
    searching_ = true;
    found_ = true;  // so that the first pass runs
    root_pass_.cancel();
  }
  return room;
}

bool Table::is_root(int32_t pid) const {
  return std::ranges::find(roots_, pid, &Root::pid) != roots_.end();
}

// The process that has the pid now is the root.
bool Table::add_root(int32_t root) {
  auto at = std::ranges::find(roots_, 0, &Root::pid);
  if (at == roots_.end()) {
    if (roots_.size() >= kMostRoots) return false;
    at = roots_.emplace(roots_.end());
  }
  *at = {root, clock_.monotonic_ns()};
  add_roots(root, uint64_t{1} << (at - roots_.begin()));
  return true;
}

void Table::add_roots(int32_t pid, uint64_t bits) {
  Task* task = find(pid);
  if (task == nullptr) {
    task = insert(pid);
    if (task == nullptr) return;
    if (keeps_all() && !read(*task, clock_.monotonic_ns())) task->start_kind = KNELL_ID_NONE;
  }
  task->roots |= bits;
}

void Table::keep_only(std::span<const int32_t> roots) {
  uint64_t dropped = 0;
  for (size_t i = 0; i < roots_.size(); ++i) {
    if (roots_[i].pid == 0 || std::ranges::find(roots, roots_[i].pid) != roots.end()) continue;
    dropped |= uint64_t{1} << i;
    roots_[i] = {};
  }
  if (dropped == 0) return;
  std::vector<int32_t> empty;
  for_each([&](const Task& task) {
    if ((task.roots & dropped) != 0) empty.push_back(task.pid);
  });
  for (const int32_t pid : empty) {
    Task& task = *find(pid);
    task.roots &= ~dropped;
    drop_if_empty(task);
  }
}

// The bit of root `pid` if `stamp_ns` is the root's own birth: its fork event may still be queued
// when it is followed.
uint64_t Table::own_bit(int32_t pid, uint64_t stamp_ns) const {
  for (size_t i = 0; i < roots_.size(); ++i)
    if (roots_[i].pid == pid && stamp_ns <= roots_[i].since_ns) return uint64_t{1} << i;
  return 0;
}

uint64_t Table::roots_of(int32_t pid) const {
  const Task* task = find(pid);
  return task == nullptr ? 0 : task->roots;
}

// Reads /proc until a pass adds nothing, so that processes forked during a pass are found too. Fork
// events that are still queued come later and change nothing that is known.
bool Table::scan_under_roots(ScanBudget& budget) {
  const auto visit = [&](int32_t pid) {
    const ProcFolder folder = proc_.folder(pid);
    const auto stat = folder ? folder.stat() : std::nullopt;
    const uint64_t bits = stat ? roots_of(stat->ppid) : 0;
    if ((bits & ~roots_of(pid)) == 0) return;
    add_roots(pid, bits);
    found_ = true;
  };
  while (searching_ && budget.left > 0) {
    if (!root_pass_.running()) {
      searching_ = std::exchange(found_, false);
      if (searching_) root_pass_.begin(proc_.list());
    }
    (void)root_pass_.advance(budget, 1, visit);
  }
  return !searching_;
}

bool Table::is_under(int32_t root, const knell_event& event) const {
  const uint64_t bits = roots_of(event.pid);
  if (bits == 0) return false;
  for (size_t i = 0; i < roots_.size(); ++i)
    if (roots_[i].pid == root) return (bits >> i & 1) != 0;
  return false;
}

}  // namespace knell::process
