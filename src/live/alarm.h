// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::live {

inline constexpr uint64_t kSoonest = 1;  // a time long past: the alarm is on at once, and stays on

// A timer that makes a listener's epoll descriptor readable at a time, CLOCK_MONOTONIC ns.
class Alarm {
 public:
  // In that epoll set, with `tag` as its data. Off.
  static Result<Alarm> create(int epoll, uint64_t tag);
  Alarm() = default;

  void set(uint64_t at_ns);  // 0: off. No system call when it is set so already
  void rang();               // it woke us: it is off until it is set again

 private:
  UniqueFd timer_;
  uint64_t at_ns_ = 0;
};

}  // namespace knell::live
