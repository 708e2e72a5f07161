// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/pid_map.h"
#include "base/result.h"
#include "filter/rule.h"
#include "filter/subscription.h"

namespace knell::lib {

// A subscription with its compiled predicates and the added processes. Decides which events are
// returned to the caller; does not send requests to a source.
struct ListenerFilter {
  // Of `options`, which are valid: events, level, details, latency_ns, args_bytes.
  static ListenerFilter of(const knell_options& options);

  // The predicates with the starts of the processes that `under` names. Called for new predicates
  // only: a process that was named before may have ended. Errors: ESRCH there is no such process.
  static Result<std::vector<filter::Predicate>> with_starts(
      std::span<const filter::Predicate> more);

  struct Added {
    uint64_t start = 0, cookie = 0;
  };

  // only_added stays set when all added processes have exited. predicates is empty, see below.
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

  // The process with this pid and `start` (0: unknown) has exited: removes it. Returns whether it
  // was an added process. An earlier process with the same pid as an added one is not.
  bool remove_exited(int32_t pid, uint64_t start) {
    const Added* one = added.empty() ? nullptr : added.find(pid);
    if (one == nullptr) return false;
    if (one->start != 0 && start != 0 && one->start != start) return false;
    return added.erase(pid);
  }

  // Limits the types of a lost event (0: any) to those in `shown`. False: none is left.
  static bool limit_lost(knell_event& event, uint32_t shown) {
    event.lost_types = event.lost_types == 0 ? shown : event.lost_types & shown;
    return event.lost_types != 0;
  }

  // Whether to return the event to the caller. Sets its cookie.
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
