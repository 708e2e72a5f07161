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

// What its predicates let through is all it needs; what it takes to judge them is added to the
// whole.
uint32_t shown_of(filter::Want want) {
  want.details = want.needs.details = KNELL_DETAILS_STATUS;
  want.needs.forks = false;
  return filter::kernel_mask(want);
}

}  // namespace

Interest join(std::span<const Interest> interests) {
  Interest all;
  all.want = {.mask = 0, .level = 0, .details = KNELL_DETAILS_STATUS, .needs = {}};
  filter::Needs& needs = all.want.needs;
  all.only_added = needs.only_under = !interests.empty();
  bool first = true;
  for (const Interest& one : interests) {
    const filter::Needs& more = one.want.needs;
    all.want.mask |= shown_of(one.want);
    all.want.level = one.want.level;
    all.want.details = std::min(all.want.details, filter::details_needed(one.want));
    needs.forks |= more.forks;
    // Those who added processes are served by the set that is kept of them.
    if (!one.only_added) join_values(needs.pids, more.pids, std::exchange(all.only_added, false));
    join_values(needs.uids, more.uids, first);
    join_values(needs.cgroups, more.cgroups, first);
    for (const int32_t root : more.roots)
      if (std::ranges::find(needs.roots, root) == needs.roots.end()) needs.roots.push_back(root);
    needs.only_under &= more.only_under;
    all.namespaces |= one.namespaces;
    first = false;
  }
  settle(needs.pids);
  settle(needs.uids);
  settle(needs.cgroups);
  return all;
}

source::Wanted wanted_of_threads(const Interest& interest) {
  source::Wanted wanted{filter::kernel_mask(interest.want)};
  const bool process_level = interest.want.level == KNELL_LEVEL_PROCESS;
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
  wanted.details = filter::details_needed(interest.want);
  // Nothing need be remembered, so nothing is heard but what is shown.
  filter::Want shown = interest.want;
  shown.details = shown.needs.details = KNELL_DETAILS_STATUS;
  shown.needs.forks = false;
  wanted.mask = with_deaths_of_added(filter::kernel_mask(shown), interest);
  wanted.level = interest.want.level;
  wanted.any_pid = !interest.only_added && interest.want.needs.pids.empty();
  // More than the programs can tell apart are told apart above.
  if (interest.want.needs.uids.size() <= kMostUids) wanted.uids = interest.want.needs.uids;
  wanted.cgroups = interest.want.needs.cgroups;
  wanted.roots = interest.want.needs.roots;
  wanted.only_under = interest.want.needs.only_under;
  wanted.namespaces = interest.namespaces;
  return wanted;
}

}  // namespace knell::live
