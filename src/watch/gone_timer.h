// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell::watch {

// How long a remembered process has been found gone. It may be gone before its EXIT is even sent:
// the kernel frees the pid of a process that nobody waits for first, and can be interrupted there.
// Only after kGoneNs is no word of it to be expected.
class GoneTimer {
 public:
  static constexpr uint64_t kGoneNs = 500'000'000;  // picked: many times any delay seen

  // Notes what a look at it showed; true when it may be forgotten.
  bool since_long(bool gone, uint64_t now_ns) {
    const auto now = static_cast<uint32_t>(now_ns >> kShift) | 1;
    if (!gone)
      since_ = 0;
    else if (since_ == 0)
      since_ = now;
    else
      return now - since_ > (kGoneNs >> kShift);
    return false;
  }

 private:
  static constexpr int kShift = 20;  // about a millisecond; 32 bits of them go round in 52 days
  uint32_t since_ = 0;               // 0: it was there
};

}  // namespace knell::watch
