// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "live/interest.h"

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

}  // namespace

source::Wanted wanted_of_threads(const Interest& interest) {
  source::Wanted wanted{filter::kernel_mask(interest.want)};
  const bool process_level = interest.want.level == KNELL_LEVEL_PROCESS;
  // A crash names the thread whose EXIT will have the core bit; see watch/deaths.cc. Rare, so free.
  if (process_level && (types_of(wanted.mask) & KNELL_EVENT_EXIT) != 0)
    wanted.mask |= KNELL_EVENT_COREDUMP;
  wanted.mask = with_deaths_of_added(wanted.mask, interest);
  // Which exit is the process's is known only of one whose threads were counted; see
  // watch/deaths.cc.
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
  wanted.uids = interest.want.needs.uids;
  wanted.cgroups = interest.want.needs.cgroups;
  wanted.roots = interest.want.needs.roots;
  wanted.only_under = interest.want.needs.only_under;
  return wanted;
}

}  // namespace knell::live
