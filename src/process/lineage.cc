// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/lineage.h"

#include <algorithm>
#include <utility>

namespace knell::process {

bool Lineage::follow(int32_t root, uint64_t now_ns) {
  if (is_root(root)) return true;
  auto at = std::ranges::find(roots_, 0, &Root::pid);
  if (at == roots_.end()) {
    if (roots_.size() >= kMostRoots) return false;
    at = roots_.emplace(roots_.end());
  }
  *at = {root, now_ns};
  inside_.emplace(root).first->roots |= uint64_t{1} << (at - roots_.begin());
  return true;
}

bool Lineage::is_root(int32_t pid) const {
  return std::ranges::find(roots_, pid, &Root::pid) != roots_.end();
}

void Lineage::keep_only(std::span<const int32_t> roots) {
  uint64_t dropped = 0;
  for (size_t i = 0; i < roots_.size(); ++i) {
    if (roots_[i].pid == 0 || std::ranges::find(roots, roots_[i].pid) != roots.end()) continue;
    dropped |= uint64_t{1} << i;
    roots_[i] = {};
  }
  if (dropped == 0) return;
  std::vector<int32_t> outside;
  inside_.for_each([&](int32_t pid, Place& place) {
    place.roots &= ~dropped;
    if (place.roots == 0) outside.push_back(pid);
  });
  for (const int32_t pid : outside) inside_.erase(pid);
}

// The bit of root `pid` if `stamp_ns` is the root's own birth: it is not later than follow().
uint64_t Lineage::own_bit(int32_t pid, uint64_t stamp_ns) const {
  for (size_t i = 0; i < roots_.size(); ++i)
    if (roots_[i].pid == pid && stamp_ns <= roots_[i].since_ns) return uint64_t{1} << i;
  return 0;
}

uint64_t Lineage::roots_of(int32_t pid) const {
  const Place* place = inside_.find(pid);
  return place == nullptr ? 0 : place->roots;
}

void Lineage::on_fork(int32_t pid, int32_t parent, uint64_t stamp_ns) {
  if (roots_.empty() || pid <= 0) return;
  const uint64_t bits = roots_of(parent) | own_bit(pid, stamp_ns);
  if (bits != 0)
    *inside_.emplace(pid).first = Place{bits, {}};
  else
    inside_.erase(pid);  // the pid of a process that was under a root is in use again
}

void Lineage::scan(const ProcReader& proc) {
  begin_scan();
  ScanBudget all;
  (void)scan_some(proc, all);
}

void Lineage::begin_scan() {
  scanning_ = inside_.size() > 0;
  added_ = true;  // so that the first pass runs
  pass_.cancel();
}

bool Lineage::scan_some(const ProcReader& proc, ScanBudget& budget) {
  const auto visit = [&](int32_t pid) {
    const ProcFolder folder = proc.folder(pid);
    const auto stat = folder ? folder.stat() : std::nullopt;
    if (!stat) return;
    const uint64_t bits = roots_of(stat->ppid);
    if ((bits & ~roots_of(pid)) == 0) return;
    inside_.emplace(pid).first->roots |= bits;
    added_ = true;
  };
  while (scanning_ && budget.left > 0) {
    if (!pass_.running()) {
      scanning_ = std::exchange(added_, false);
      if (scanning_) pass_.begin(proc.list());
    }
    (void)pass_.advance(budget, 1, visit);
  }
  return !scanning_;
}

bool Lineage::is_under(int32_t root, const knell_event& event) const {
  const uint64_t bits = roots_of(event.pid);
  if (bits == 0) return false;
  for (size_t i = 0; i < roots_.size(); ++i)
    if (roots_[i].pid == root) return (bits >> i & 1) != 0;
  return false;
}

}  // namespace knell::process
