// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/join.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "event/mask.h"

namespace knell::source {

namespace {

// Added processes leave the set when they die, also with status 0: otherwise their pids would stand
// for later processes.
uint32_t with_deaths_of_added(uint32_t mask, const Interest& interest) {
  if (interest.only_added && (mask & KNELL_EVENT_NONZERO_EXIT) != 0) mask |= KNELL_EVENT_EXIT;
  return mask;
}

constexpr size_t kMostUids = 4096;  // source/bpf/maps.bpf.inc

// The union of the values that the listeners require; empty as soon as one listener requires none.
template <class T>
void join_values(std::vector<T>& all, const std::vector<T>& more, bool first) {
  if (!first && (all.empty() || more.empty())) {
    all.clear();
    return;
  }
  all.insert(all.end(), more.begin(), more.end());
}

// Sorts and removes duplicates. A linear search for each value would take seconds when many
// listeners have many values.
template <class T>
void settle(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

Interest join(std::span<const Interest> interests) {
  Interest all;
  all.only_added = all.only_under = !interests.empty();
  bool first = true;
  for (const Interest& one : interests) {
    all.mask |= filter::shown_mask(one);
    all.level = one.level;
    all.details = std::min(all.details, one.details);
    // Listeners that add processes are served by the source's set of pids.
    if (!one.only_added) join_values(all.pids, one.pids, std::exchange(all.only_added, false));
    join_values(all.uids, one.uids, first);
    join_values(all.cgroups, one.cgroups, first);
    for (const filter::Root& root : one.roots)
      if (std::ranges::find(all.roots, root) == all.roots.end()) all.roots.push_back(root);
    all.only_under &= one.only_under;
    all.recover |= one.recover;
    all.owners |= one.owners;
    all.namespaces |= one.namespaces;
    first = false;
  }
  settle(all.pids);
  settle(all.uids);
  settle(all.cgroups);
  return all;
}

SourceRequest request_for(const Interest& interest) {
  SourceRequest wanted;
  wanted.mask = with_deaths_of_added(filter::shown_mask(interest), interest);
  wanted.level = interest.level;
  wanted.details = interest.details;
  wanted.any_pid = !interest.only_added && interest.pids.empty();
  if (!interest.only_added) wanted.pids = interest.pids;
  // More uids than the BPF programs can test are tested in user space.
  if (interest.uids.size() <= kMostUids) wanted.uids = interest.uids;
  wanted.cgroups = interest.cgroups;
  wanted.roots = interest.roots;
  wanted.only_under = interest.only_under;
  wanted.owners = interest.owners;
  wanted.namespaces = interest.namespaces;
  return wanted;
}

}  // namespace knell::source
