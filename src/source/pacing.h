// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "source/source.h"

namespace knell::source {

// When to look at a source next: see pacing.cc. Knows no descriptor and no clock.
//
//   Pacer pacer(budget_ns);
//   apply(pacer.plan());                          // from now on, and after each drain:
//   on readable fd, or timer: drained = source.drain(...); apply(pacer.drained(drained, now_ns));
//
// apply() compares with the plan in force: EPOLL_CTL_ADD or _DEL of the source's fd when watch_fd
// changed, timerfd_settime when timer_ns did (absolute, CLOCK_MONOTONIC).
class Pacer {
 public:
  enum class State {
    kAsleep,  // the source's descriptor wakes us
    kPaced    // the timer does
  };
  struct Plan {
    bool watch_fd = true;
    uint64_t timer_ns = 0;  // wake then; a time that has passed: at once. 0: no timer
    bool operator==(const Plan&) const = default;
  };

  // How long an event may wait for company; 0: not at all.
  explicit Pacer(uint64_t budget_ns) : budget_ns_(budget_ns) {}

  // A drain at `now_ns` came to this. To be called after every drain, whatever made you drain.
  Plan drained(Drained result, uint64_t now_ns);
  Plan plan() const;
  State state() const { return state_; }

 private:
  Plan asleep(Drained result, uint64_t now_ns);
  Plan paced(Drained result, uint64_t now_ns);

  uint64_t budget_ns_;
  State state_ = State::kAsleep;
  bool seen_any_ = false;    // asleep: there was an event before, at last_ns_
  uint64_t last_ns_ = 0;     // asleep: when
  uint64_t due_ns_ = 0;      // paced: the timer
  bool seen_since_ = false;  // paced: something came since it was set
  uint64_t at_once_ns_ = 0;  // more is there: do not wait for anything
};

}  // namespace knell::source
