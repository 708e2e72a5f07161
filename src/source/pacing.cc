// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/pacing.h"

// What costs is waking up, not the event: a reader woken for each one burns several times the CPU
// of one that drains every millisecond, and each wake-up is paid for by the dying process as well.
// But a timer that runs while nothing happens costs 2 % of a core. So, as network cards moderate
// their interrupts:
//
//              first event: drained at once
//             .----.
//             |    v        another within the budget: drained, and from here
//            ASLEEP  ------------------------------------------------------>  PACED
//    the descriptor wakes us  <------------------------------------------  the timer wakes us
//                                  a whole budget went by without an event
//
// Asleep, an event wakes us and is delivered at once; so is a lone one every few milliseconds, for
// ever. Only when a second one comes within the budget of the one before does the timer start: the
// descriptor is not watched any more (it must leave the epoll set, since EPOLLERR cannot be masked,
// and an overflow would wake us all the time), and everything that comes is read when the timer
// fires, one budget after the last time. No event waits longer than the budget.
//
// A caller may drain when nobody told him to, usually once more until nothing is left. That finds
// nothing right after a drain that found something, and means nothing: what counts for falling
// asleep is that the timer came due and nothing was found since it was set.
//
// A drain that stopped at its bound leaves events behind which the descriptor may not show (they
// can be in the source's own batch already): the timer is set to this instant.
namespace knell::source {

Pacer::Plan Pacer::plan() const {
  if (at_once_ns_ != 0) return {state_ == State::kAsleep, at_once_ns_};
  if (state_ == State::kAsleep) return {true, 0};
  return {false, due_ns_};
}

Pacer::Plan Pacer::drained(Drained result, uint64_t now_ns) {
  at_once_ns_ = result == Drained::kMore ? now_ns : 0;
  return state_ == State::kAsleep ? asleep(result, now_ns) : paced(result, now_ns);
}

Pacer::Plan Pacer::asleep(Drained result, uint64_t now_ns) {
  if (result == Drained::kEmpty) return plan();
  const bool again = seen_any_ && now_ns - last_ns_ < budget_ns_;
  seen_any_ = true;
  last_ns_ = now_ns;
  if (again) {
    state_ = State::kPaced;
    due_ns_ = now_ns + budget_ns_;
    seen_since_ = false;
  }
  return plan();
}

Pacer::Plan Pacer::paced(Drained result, uint64_t now_ns) {
  seen_since_ = seen_since_ || result != Drained::kEmpty;
  if (now_ns < due_ns_) return plan();
  if (!seen_since_) {
    state_ = State::kAsleep;  // last_ns_ is older than a budget by now
    return plan();
  }
  due_ns_ = now_ns + budget_ns_;
  seen_since_ = false;
  return plan();
}

}  // namespace knell::source
