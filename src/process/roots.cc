// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// For each root that a listener names, the processes under it: those whose chain of parents at
// birth leads to the root. A process stays under its root when it is reparented. A process whose
// link to the root died before knell started is not found.
#include <utility>
#include <vector>

#include "process/process_table.h"

namespace knell::process {

bool ProcessTable::follow(std::span<const filter::Root> roots) {
  drop_roots(roots_.keep_only(roots));
  bool room = true, fresh = false;
  for (const filter::Root& root : roots) {
    if (roots_.bit_of(root) != 0) continue;
    const ProcFolder folder = proc_.folder(root.pid);
    const auto stat = folder ? folder.stat() : std::nullopt;
    // Another process has the pid, and may have its children.
    const bool ended = stat && !root.has_start(stat->start);
    const uint64_t bit = roots_.add(root, ended ? 0 : clock_.monotonic_ns());
    room &= bit != 0;
    if (bit == 0 || ended) continue;
    // If the entry is of an earlier process, the fork event of the root is still queued.
    const Task* task = find(root.pid);
    const bool queued =
        stat && task != nullptr && !is_bare(*task) && !still_has_it(*task, stat->start);
    if (!queued) (void)add_roots(root.pid, bit);
    fresh |= proc_.may_have_children(root.pid);
  }
  if (fresh) {
    searching_ = found_ = true;  // found_ is set, so that the first pass is made
    root_pass_.cancel();
  }
  return room;
}

// Adds roots to a process. False: the table is full.
bool ProcessTable::add_roots(int32_t pid, uint64_t bits) {
  Task* task = find(pid);
  if (task == nullptr) task = insert(pid);
  if (task == nullptr) return false;
  if (is_bare(*task) && task->read_ns == 0) {
    const uint64_t now = clock_.monotonic_ns();
    if (keeps_all() && !read(*task, now)) task->start_kind = KNELL_ID_NONE;
    task->read_ns = now;
  }
  task->roots |= bits;
  return true;
}

void ProcessTable::drop_roots(uint64_t bits) {
  if (bits == 0) return;
  std::vector<int32_t> under;
  for_each([&](const Task& task) {
    if ((task.roots & bits) != 0) under.push_back(task.pid);
  });
  for (const int32_t pid : under) {
    Task& task = *find(pid);
    task.roots &= ~bits;
    drop_if_empty(task);
  }
}

uint64_t ProcessTable::roots_of(int32_t pid) const {
  const Task* task = find(pid);
  return task == nullptr ? 0 : task->roots;
}

// Reads /proc until a pass adds nothing, so that processes forked during a pass are found too. Fork
// events that are still queued come later and change nothing that is known.
bool ProcessTable::scan_under_roots(ScanBudget& budget) {
  const auto visit = [&](int32_t pid) {
    const ProcFolder folder = proc_.folder(pid);
    const auto stat = folder ? folder.stat() : std::nullopt;
    const uint64_t bits = stat ? roots_of(stat->ppid) : 0;
    if ((bits & ~roots_of(pid)) == 0) return;
    found_ |= add_roots(pid, bits);
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

bool ProcessTable::is_under(const filter::Root& root, const knell_event& event) const {
  const uint64_t bits = roots_of(event.pid);
  return bits != 0 && (bits & roots_.bit_of(root)) != 0;
}

}  // namespace knell::process
