// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>
#include <knell/knell.h>

#include <cstdint>

#include "event/raw.h"

namespace knell::filter {

// The meaning of a mask with both EXIT and NONZERO_EXIT.
enum class Rule {
  kReleased,  // every released kernel: EXIT+NONZERO_EXIT is every exit
  kV6,        // the patch as first posted: NONZERO_EXIT wins, an exit with status 0 is dropped
};

// Drops unknown bits; then 0 means ALL. As the kernel treats a requested mask.
constexpr uint32_t normalise(uint32_t mask) {
  mask &= KNELL_EVENT_ALL;
  return mask == 0 ? KNELL_EVENT_ALL : mask;
}

// The mask whose meaning under the released rule is that of `mask` under `rule`.
constexpr uint32_t as_released(Rule rule, uint32_t mask) {
  mask = normalise(mask);
  const bool nonzero_wins =
      rule == Rule::kV6 && mask != KNELL_EVENT_ALL && (mask & KNELL_EVENT_NONZERO_EXIT) != 0;
  return nonzero_wins ? mask & ~KNELL_EVENT_EXIT : mask;
}

// Whether an event passes `mask`: the same decision as the kernel's, also for acks (what == 0),
// which pass only ALL. Two cases do not occur in the kernel: an exit of unknown status counts as
// non-zero, so that none is missed; and LOST always passes.
constexpr bool passes(Rule rule, uint32_t mask, uint32_t what, uint32_t exit_code,
                      bool status_known = true) {
  mask = normalise(mask);
  const bool nonzero = what == KNELL_EVENT_EXIT && (exit_code != 0 || !status_known);
  const uint32_t bits = what | (nonzero ? KNELL_EVENT_NONZERO_EXIT : 0);
  uint32_t wanted = mask | KNELL_EVENT_LOST;
  if (rule == Rule::kV6 && (mask & KNELL_EVENT_NONZERO_EXIT) != 0) wanted &= ~KNELL_EVENT_EXIT;
  return mask == KNELL_EVENT_ALL || (wanted & bits) != 0;
}

inline bool passes(Rule rule, uint32_t mask, const event::Raw& raw) {
  return passes(rule, mask, raw.what, raw.what == KNELL_EVENT_EXIT ? raw.u.exit.code : 0);
}

inline bool passes(Rule rule, uint32_t mask, const knell_event& event) {
  return passes(rule, mask, event.type, static_cast<uint32_t>(event.wait_status),
                (event.has & KNELL_HAS_STATUS) != 0);
}

}  // namespace knell::filter
