// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::feed {

inline constexpr uint64_t kAlarmNow = 1;  // in the past: the alarm is on at once, and stays on

// A timer that makes a listener's epoll descriptor readable at a given time, CLOCK_MONOTONIC ns.
// Not thread-safe.
class Alarm {
 public:
  // Adds the timer to the epoll set, with `tag` as its data. The alarm is off. Errors: those of
  // timerfd_create(2) and epoll_ctl(2).
  static Result<Alarm> create(int epoll, uint64_t tag);
  Alarm() = default;

  void set(uint64_t at_ns);  // 0: off. No system call if the time is unchanged
  void on_fired();           // to be called when the timer has fired: the alarm is off until set()

 private:
  UniqueFd timer_;
  uint64_t at_ns_ = 0;
};

}  // namespace knell::feed
