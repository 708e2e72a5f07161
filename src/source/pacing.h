// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "filter/latency.h"
#include "source/source.h"

namespace knell::source {

// Decides when to drain a source next; see pacing.cc. Uses no descriptor and no clock itself.
//
//   Pacer pacer(latency);
//   apply(pacer.plan());                          // once; after that:
//   when the fd is readable or the timer expires: drained = source.drain(...);
//   apply(pacer.drained(drained, events, now_ns));
//
// apply() compares the plan with the last one: EPOLL_CTL_ADD or _DEL of the source's fd when
// watch_fd changed, timerfd_settime when timer_ns did (absolute, CLOCK_MONOTONIC).
class Pacer {
 public:
  enum class State {
    kAsleep,  // the source's descriptor wakes the reader
    kPaced    // the timer wakes the reader
  };
  struct Plan {
    bool watch_fd = true;
    uint64_t timer_ns = 0;  // wake up at this time; immediately if it has passed. 0: no timer
    bool operator==(const Plan&) const = default;
  };
  // The budget grows while the rate is above this number of events in each `latency.ns`.
  static constexpr uint64_t kManyEvents = 4;

  explicit Pacer(const filter::Latency& latency)
      : least_ns_(static_cast<uint64_t>(latency.ns)),
        most_ns_(static_cast<uint64_t>(latency.under_load_ns)),
        budget_ns_(least_ns_) {}

  // Handles the result of a drain at `now_ns`, which found `events` events. Call it after every
  // drain, for whatever reason.
  Plan drained(Drained result, uint64_t events, uint64_t now_ns);
  Plan plan() const;
  State state() const { return state_; }

 private:
  Plan asleep(Drained result, uint64_t now_ns);
  Plan paced(Drained result, uint64_t events, uint64_t now_ns);
  void set_due(uint64_t now_ns);

  uint64_t least_ns_, most_ns_;
  uint64_t budget_ns_;  // from least_ns_ to most_ns_
  State state_ = State::kAsleep;
  bool seen_any_ = false;    // asleep: whether last_ns_ is set
  uint64_t last_ns_ = 0;     // asleep: when events were read last
  uint64_t set_ns_ = 0;      // paced: when the timer was set
  uint64_t due_ns_ = 0;      // paced: when the timer expires
  bool seen_since_ = false;  // paced: events were read since the timer was set
  uint64_t events_ = 0;      // paced: the number of these events
  uint64_t at_once_ns_ = 0;  // not 0: there may be more events, drain again now
};

}  // namespace knell::source
