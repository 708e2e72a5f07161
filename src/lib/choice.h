// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>

#include "base/pid_map.h"
#include "filter/predicate.h"
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
  bool only_added = false;  // from the first add on, also when all of them are gone

  void add(int32_t pid, uint64_t start, uint64_t cookie) {
    *added.emplace(pid).first = Added{start, cookie};
    only_added = true;
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
