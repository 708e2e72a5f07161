// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <vector>

#include "filter/interest.h"
#include "filter/latency.h"
#include "filter/predicates.h"
#include "filter/rule.h"

namespace knell::filter {

// The streams of events that listeners can subscribe to.
enum class Stream : uint8_t {
  kProcesses,  // events of whole processes
  kThreads,    // the kernel's events of threads, as knell_event
  kDatagrams   // the same events, as datagrams of the connector
};

// The request of one listener. Used on the wire, in the daemon and in the library.
struct Subscription {
  Stream stream = Stream::kProcesses;
  uint32_t mask = KNELL_EVENT_ALL;  // normalised
  Rule rule = Rule::kReleased;
  uint32_t details = KNELL_DETAILS_FULL;  // enum knell_details
  int64_t latency_ns = KNELL_LATENCY_DEFAULT_NS;
  int64_t under_load_ns = 0;  // if above latency_ns: the latency at a high rate of events
  uint32_t args_bytes = 0;    // the maximum size of an event's args; 0: the source's setting
  // Empty if the compiled predicates are stored beside the subscription.
  std::vector<Predicate> predicates = {};
  bool only_added = false;  // only events of added processes
  bool recover = false;     // also events that were lost and recovered, see feed/recovery.cc
  bool operator==(const Subscription&) const = default;
};

Latency latency_of(const Subscription& subscription);
// What the sources must report to serve the subscription.
Interest interest_of(const Subscription& subscription, const Predicates& predicates);

}  // namespace knell::filter
