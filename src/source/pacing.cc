// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/pacing.h"

#include <algorithm>

// The wakeup is expensive, not the event. A reader that is woken for each event uses several times
// the CPU of one that drains every millisecond, and each wakeup also costs time in the dying
// process. But a timer that always runs costs 2 % of a core. So the reader switches between two
// states, as network cards moderate their interrupts:
//
//              first event: drain at once
//             .----.
//             |    v        another event within the budget: drain, then
//            ASLEEP  ------------------------------------------------------>  PACED
//    the descriptor wakes     <------------------------------------------  the timer wakes
//    the reader                    a whole budget passed without an event  the reader
//
// In the state asleep an event wakes the reader and is delivered immediately. Single events, even
// one every few milliseconds, never start the timer. The timer starts only when a second event
// arrives within the budget after the first. Then the reader stops watching the descriptor: it must
// leave the epoll set, since EPOLLERR cannot be masked and an overflow would cause repeated
// wakeups. The timer expires one budget after the last drain, and all events that have arrived are
// read then. No event waits longer than the budget.
//
// A caller may also drain between the planned times, usually to repeat until nothing is left. Such
// a drain finds nothing because the one before has just emptied the source, so it must not end the
// paced state. The pacer falls asleep only when the timer expires and no events were found since
// the timer was set.
//
// The budget. At 10,000 events a second a timer of 1 ms spends more CPU on its wakeups than on the
// events; a timer of 10 ms spends a tenth of that. At 1,000 events a second a wakeup of either
// timer finds only one or a few events, so the longer budget would delay events for little gain. So
// the budget begins at `latency.ns`. When the timer expires and the rate was above kManyEvents in
// each `latency.ns`, the budget is doubled, up to `latency.under_load_ns`. When the rate was lower,
// the budget is reset to `latency.ns`. So a short burst, for example the end of a service with its
// processes, is delayed little; only a load that lasts for several budgets reaches the longest one.
// A listener whose limits are equal has a fixed budget.
//
// A drain that stopped at its bound leaves events for which the descriptor may not be readable,
// because they can be in the source's own batch. Then the timer is set to the present time.
namespace knell::source {

Pacer::Plan Pacer::plan() const {
  if (at_once_ns_ != 0) return {state_ == State::kAsleep, at_once_ns_};
  if (state_ == State::kAsleep) return {true, 0};
  return {false, due_ns_};
}

Pacer::Plan Pacer::drained(Drained result, uint64_t events, uint64_t now_ns) {
  at_once_ns_ = result == Drained::kMore ? now_ns : 0;
  return state_ == State::kAsleep ? asleep(result, now_ns) : paced(result, events, now_ns);
}

void Pacer::set_due(uint64_t now_ns) {
  set_ns_ = now_ns;
  due_ns_ = now_ns + budget_ns_;
  seen_since_ = false;
  events_ = 0;
}

Pacer::Plan Pacer::asleep(Drained result, uint64_t now_ns) {
  if (result == Drained::kEmpty) return plan();
  const bool again = seen_any_ && now_ns - last_ns_ < budget_ns_;
  seen_any_ = true;
  last_ns_ = now_ns;
  if (again) {
    state_ = State::kPaced;
    set_due(now_ns);
  }
  return plan();
}

Pacer::Plan Pacer::paced(Drained result, uint64_t events, uint64_t now_ns) {
  seen_since_ = seen_since_ || result != Drained::kEmpty;
  events_ += events;
  if (now_ns < due_ns_) return plan();
  const bool many = events_ * least_ns_ > kManyEvents * (now_ns - set_ns_);
  budget_ns_ = many ? std::min(2 * budget_ns_, most_ns_) : least_ns_;
  if (!seen_since_) {
    state_ = State::kAsleep;  // the last event is older than the budget
    return plan();
  }
  set_due(now_ns);
  return plan();
}

}  // namespace knell::source
