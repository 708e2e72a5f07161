// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>

#include "base/pid_map.h"
#include "filter/rule.h"
#include "filter/subscription.h"

namespace knell::lib {

// A subscription with its predicates compiled, and the processes it named. Decides which events are
// handed out; requests nothing of a source.
struct ListenerFilter {
  // Of `options`, which are valid: events, level, details, latency_ns, args_bytes.
  static ListenerFilter of(const knell_options& options);

  struct Added {
    uint64_t start = 0, cookie = 0;
  };

  // only_added: also when all of them are gone. predicates: empty.
  filter::Subscription subscription;
  filter::Predicates predicates;
  PidMap<Added> added;

  filter::Interest interest() const { return filter::interest_of(subscription, predicates); }
  uint32_t level() const {
    return subscription.stream == filter::Stream::kProcesses ? KNELL_LEVEL_PROCESS
                                                             : KNELL_LEVEL_RAW;
  }

  void add(int32_t pid, uint64_t start, uint64_t cookie) {
    *added.emplace(pid).first = Added{start, cookie};
  }

  // The process that had this pid since `start` (0: unknown) is over: whether it was one of those
  // added, and is none any more. An earlier one with the pid of one that was added is not.
  bool over(int32_t pid, uint64_t start) {
    const Added* one = added.empty() ? nullptr : added.find(pid);
    if (one == nullptr) return false;
    if (one->start != 0 && start != 0 && one->start != start) return false;
    return added.erase(pid);
  }

  // Sets the cookie of an event that is wanted.
  bool wants(knell_event& event, const filter::Ancestry& ancestry) const {
    if (event.type == KNELL_EVENT_LOST) return true;
    if (!filter::passes(subscription.rule, subscription.mask, event)) return false;
    if (subscription.only_added) {
      const Added* one = added.find(event.pid);
      if (one == nullptr) return false;
      if (one->start != 0 && event.id.kind == KNELL_ID_START && event.id.start != one->start)
        return false;
      event.cookie = one->cookie;
    }
    return predicates.matches(event, ancestry);
  }
};

}  // namespace knell::lib
