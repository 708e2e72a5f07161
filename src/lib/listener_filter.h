// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
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
    uint64_t start = 0, cookie = 0;  // `start`: 0: unknown
    // Whether an earlier process had the pid of the one with `start_now`.
    bool is_before(uint64_t start_now) const {
      return start != 0 && start_now != 0 && start != start_now;
    }
    bool is(uint64_t other) const { return start == 0 || other == 0 || start == other; }
  };

  // only_added stays set when all added processes have exited. predicates is empty, see below.
  filter::Subscription subscription;
  filter::Predicates predicates;
  PidMap<Added> added;
  // Earlier processes with the pid of one that was added later, whose exit was not received yet. Of
  // one pid the oldest first. Usually empty.
  std::multimap<int32_t, Added> replaced;

  filter::Interest interest() const { return filter::interest_of(subscription, predicates); }
  uint32_t level() const {
    return subscription.stream == filter::Stream::kProcesses ? KNELL_LEVEL_PROCESS
                                                             : KNELL_LEVEL_RAW;
  }

  // If a process with this pid is in `added`, it has ended, and waits in `replaced` for its exit.
  void add(int32_t pid, uint64_t start, uint64_t cookie) {
    if (const Added* before = added.find(pid)) replaced.emplace(pid, *before);
    *added.emplace(pid).first = Added{start, cookie};
  }
  // Removes the process that was added last with this pid. Returns whether there was one.
  bool remove(int32_t pid) {
    const auto [first, last] = replaced.equal_range(pid);
    if (first == last) return added.erase(pid);
    Added* const one = added.find(pid);
    if (one == nullptr) return false;
    *one = std::prev(last)->second;
    replaced.erase(std::prev(last));
    return true;
  }

  // The added process with this pid and `start` (0: unknown, then the earliest one); nullptr: none.
  const Added* find(int32_t pid, uint64_t start) const {
    const auto before = find_replaced(pid, start);
    if (before != replaced.end()) return &before->second;
    const Added* one = added.empty() ? nullptr : added.find(pid);
    return one != nullptr && one->is(start) ? one : nullptr;
  }
  const Added* find(const knell_event& event) const { return find(event.pid, start_of(event)); }
  static uint64_t start_of(const knell_event& event) {
    return event.id.kind == KNELL_ID_START ? event.id.start : 0;
  }

  // The process that find() returns has exited: removes and returns it.
  std::optional<Added> remove_exited(int32_t pid, uint64_t start) {
    const Added* const one = find(pid, start);
    if (one == nullptr) return std::nullopt;
    const Added gone = *one;
    const auto before = find_replaced(pid, start);
    if (before != replaced.end())
      replaced.erase(before);
    else
      added.erase(pid);
    return gone;
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
      const Added* one = find(event);
      if (one == nullptr) return false;
      event.cookie = one->cookie;
    }
    return predicates.matches(event, ancestry);
  }

 private:
  std::multimap<int32_t, Added>::const_iterator find_replaced(int32_t pid, uint64_t start) const {
    const auto [first, last] = replaced.equal_range(pid);
    const auto found =
        std::find_if(first, last, [&](const auto& one) { return one.second.is(start); });
    return found == last ? replaced.end() : found;
  }
};

}  // namespace knell::lib
