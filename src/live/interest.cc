// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "live/interest.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace knell::live {

uint32_t types_of(uint32_t mask) {
  if ((mask & KNELL_EVENT_NONZERO_EXIT) != 0) mask |= KNELL_EVENT_EXIT;
  return mask & ~KNELL_EVENT_NONZERO_EXIT;
}

namespace {

// Added processes leave the set when they die, also with status 0: else their pids would stand for
// others later.
uint32_t with_deaths_of_added(uint32_t mask, const Interest& interest) {
  if (interest.only_added && (mask & KNELL_EVENT_NONZERO_EXIT) != 0) mask |= KNELL_EVENT_EXIT;
  return mask;
}

constexpr size_t kMostUids = 4096;  // source/bpf/maps.bpf.inc

// The values any of them insists on; none, where one of them insists on nothing.
template <class T>
void join_values(std::vector<T>& all, const std::vector<T>& more, bool first) {
  if (!first && (all.empty() || more.empty())) {
    all.clear();
    return;
  }
  all.insert(all.end(), more.begin(), more.end());
}

// Sorted, each once. Looking for each among the others would take seconds where many listeners name
// many.
template <class T>
void settle(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// The mask of what is shown, without what has to be remembered to show it.
uint32_t shown_of(Interest interest) {
  interest.details = KNELL_DETAILS_STATUS;
  interest.forks = false;
  return filter::kernel_mask(interest);
}

}  // namespace

Interest join(std::span<const Interest> interests) {
  Interest all;
  all.only_added = all.only_under = !interests.empty();
  bool first = true;
  for (const Interest& one : interests) {
    all.mask |= shown_of(one);
    all.level = one.level;
    all.details = std::min(all.details, one.details);
    all.forks |= one.forks;
    // Those who added processes are served by the set that is kept of them.
    if (!one.only_added) join_values(all.pids, one.pids, std::exchange(all.only_added, false));
    join_values(all.uids, one.uids, first);
    join_values(all.cgroups, one.cgroups, first);
    for (const int32_t root : one.roots)
      if (std::ranges::find(all.roots, root) == all.roots.end()) all.roots.push_back(root);
    all.only_under &= one.only_under;
    all.namespaces |= one.namespaces;
    first = false;
  }
  settle(all.pids);
  settle(all.uids);
  settle(all.cgroups);
  return all;
}

source::Wanted wanted_of_threads(const Interest& interest) {
  source::Wanted wanted{filter::kernel_mask(interest)};
  const bool process_level = interest.level == KNELL_LEVEL_PROCESS;
  // A crash names the thread whose EXIT will have the core bit; see watch/exit_tracker.cc. Rare, so
  // free.
  if (process_level && (types_of(wanted.mask) & KNELL_EVENT_EXIT) != 0)
    wanted.mask |= KNELL_EVENT_COREDUMP;
  wanted.mask = with_deaths_of_added(wanted.mask, interest);
  // Which exit is the process's is known only of one whose threads were counted; see
  // watch/exit_tracker.cc.
  if (process_level && (wanted.mask & KNELL_EVENT_EXIT) != 0 &&
      (wanted.mask & KNELL_EVENT_FORK) == 0) {
    wanted.mask |= KNELL_EVENT_FORK;
    wanted.forks_of_threads_only = true;
  }
  return wanted;
}

source::Wanted wanted_of_whole(const Interest& interest) {
  source::Wanted wanted;
  wanted.details = interest.details;
  // Nothing need be remembered, so nothing is heard but what is shown.
  wanted.mask = with_deaths_of_added(shown_of(interest), interest);
  wanted.level = interest.level;
  wanted.any_pid = !interest.only_added && interest.pids.empty();
  // More than the programs can tell apart are told apart above.
  if (interest.uids.size() <= kMostUids) wanted.uids = interest.uids;
  wanted.cgroups = interest.cgroups;
  wanted.roots = interest.roots;
  wanted.only_under = interest.only_under;
  wanted.namespaces = interest.namespaces;
  return wanted;
}

}  // namespace knell::live
