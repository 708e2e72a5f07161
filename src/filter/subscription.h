// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <vector>

#include "filter/interest.h"
#include "filter/predicates.h"
#include "filter/rule.h"

namespace knell::filter {

// What listeners can listen to.
enum class Stream : uint8_t {
  kProcesses,  // events of whole processes
  kThreads,    // the kernel's, of threads, as events
  kDatagrams   // the same as the connector's datagrams
};

// What one listener asks for: on the wire, in the daemon and in the library.
struct Subscription {
  Stream stream = Stream::kProcesses;
  uint32_t mask = KNELL_EVENT_ALL;  // normalised
  Rule rule = Rule::kReleased;
  uint32_t details = KNELL_DETAILS_FULL;  // enum knell_details
  int64_t latency_ns = KNELL_LATENCY_DEFAULT_NS;
  uint32_t args_bytes = 0;  // the most of an event's args; 0: as the source is set
  // Empty where they are kept compiled beside this.
  std::vector<Predicate> predicates = {};
  bool only_added = false;  // only of processes that are added
  bool operator==(const Subscription&) const = default;
};

// What it takes to serve it.
Interest interest_of(const Subscription& subscription, const Predicates& predicates);

}  // namespace knell::filter
