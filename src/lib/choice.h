// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>

#include "base/pid_map.h"
#include "filter/predicates.h"
#include "filter/rule.h"

namespace knell::lib {

// What one listener wants to hear: mask, predicates, and the processes it named. Judges events;
// asks for nothing.
struct Choice {
  struct Added {
    uint64_t start = 0, cookie = 0;
  };

  uint32_t mask = KNELL_EVENT_ALL;  // normalised
  filter::Predicates predicates;
  PidMap<Added> added;
  bool only_added = false;  // of the processes added, also when all of them are gone

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
    if (!filter::passes(filter::Rule::kReleased, mask, event)) return false;
    if (only_added) {
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
