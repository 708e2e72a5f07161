// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <vector>

#include "filter/root.h"

namespace knell::filter {

// What a source must report to serve the subscription of one listener, or those of several.
struct Interest {
  // of one listener: 0 means all types; of several joined: 0 means there is no listener
  uint32_t mask = 0;
  uint32_t possible = KNELL_EVENT_ALL;      // mask of the types that can pass the predicates
  uint32_t level = KNELL_LEVEL_PROCESS;     // enum knell_level
  uint32_t details = KNELL_DETAILS_STATUS;  // enum knell_details: the lowest level that is enough
  bool only_added = false;                  // only events of added processes (knell_add())
  // owners: the real uid of each event's process is needed, whatever `details` says. namespaces:
  // the pids of each event's processes in pid namespaces are needed.
  bool owners = false, namespaces = false;
  bool recover = false;              // events that were lost are to be recovered
  bool only_under = false;           // only processes under one of `roots` can pass
  std::vector<int32_t> pids;         // the wanted values of `pid`; empty: any
  std::vector<Root> roots;           // the values of `under`, wanted or excluded
  std::vector<uint32_t> uids;        // wanted by `uid`; empty: any
  std::vector<std::string> cgroups;  // wanted by `cgroup`; empty: any
  // Wanted by `unit` and `comm`; empty: any, or one of the wanted values is a pattern.
  std::vector<std::string> units, comms;
  bool operator==(const Interest&) const = default;
};

// Whether no listener is joined in it: the source need not report anything.
inline bool empty(const Interest& joined) { return joined.mask == 0; }

// The types of the events that can pass, as a mask for the kernel; never 0.
uint32_t shown_mask(const Interest& interest);

}  // namespace knell::filter
