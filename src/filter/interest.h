// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <vector>

namespace knell::filter {

// What has to come, so that one listener or several can be served: what follows from their
// subscriptions, and what sources are asked for.
struct Interest {
  uint32_t mask = 0;  // of a listener as asked, 0: all; of several joined, 0: there is no listener
  uint32_t possible = KNELL_EVENT_ALL;      // a mask: no predicate lets anything else through
  uint32_t level = KNELL_LEVEL_PROCESS;     // enum knell_level
  uint32_t details = KNELL_DETAILS_STATUS;  // enum knell_details: the least that will do
  bool only_added = false;                  // only of processes that were added (knell_add())
  bool namespaces = false;                  // the numbers of pid namespaces are wanted as well
  bool forks = false;                       // births must be followed (under)
  bool only_under = false;                  // only what is under one of the roots can pass
  std::vector<int32_t> pids;                // wanted by `pid`; empty: any
  std::vector<int32_t> roots;               // named by `under`, wanted or excluded
  std::vector<uint32_t> uids;               // wanted by `uid`; empty: any
  std::vector<std::string> cgroups;         // wanted by `cgroup`; empty: any
  // Wanted by `unit` and `comm`, where no pattern is among them; empty: any, or there is one.
  std::vector<std::string> units, comms;
  bool operator==(const Interest&) const = default;
};

// No listener is behind it: nothing to ask a source for.
inline bool empty(const Interest& joined) { return joined.mask == 0; }

// The mask the kernel has to be asked for, so that it can be served; never 0.
uint32_t kernel_mask(const Interest& interest);

}  // namespace knell::filter
