// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/lineage.h"

#include <algorithm>

namespace knell::watch {

bool Lineage::follow(int32_t root) {
  if (std::find(roots_.begin(), roots_.end(), root) != roots_.end()) return true;
  if (roots_.size() >= kMostRoots) return false;
  *inside_.emplace(root).first |= uint64_t{1} << roots_.size();
  roots_.push_back(root);
  return true;
}

uint64_t Lineage::roots_of(int32_t pid) const {
  const uint64_t* bits = inside_.find(pid);
  return bits == nullptr ? 0 : *bits & ~kMissing;
}

void Lineage::born(int32_t pid, int32_t parent) {
  if (roots_.empty() || pid <= 0) return;
  const uint64_t bits = roots_of(parent);
  if (bits != 0)
    *inside_.emplace(pid).first = bits;
  else
    inside_.erase(pid);  // the pid of somebody who was inside is in use again
}

void Lineage::scan(const ProcReader& proc) {
  if (roots_.empty()) return;
  for (bool added = true; added;) {
    added = false;
    for (const int32_t pid : proc.pids()) {
      const ProcFolder folder = proc.folder(pid);
      const auto stat = folder ? folder.stat() : std::nullopt;
      if (!stat) continue;
      const uint64_t bits = roots_of(stat->ppid);
      if ((bits & ~roots_of(pid)) == 0) continue;
      *inside_.emplace(pid).first |= bits;
      added = true;
    }
  }
}

bool Lineage::inside(int32_t root, const knell_event& event) const {
  const auto at = std::find(roots_.begin(), roots_.end(), root);
  if (at == roots_.end()) return false;
  return (roots_of(event.pid) >> (at - roots_.begin()) & 1) != 0;
}

}  // namespace knell::watch
