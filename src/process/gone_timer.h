// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell::process {

// Measures how long a stored process has been found gone. A process may be gone before its EXIT is
// sent: the kernel first frees the pid of a process that nobody waits for, and can be interrupted
// there. Its EXIT is not expected later than kGoneNs after that.
class GoneTimer {
 public:
  static constexpr uint64_t kGoneNs =
      500'000'000;  // chosen, not measured: many times any delay seen

  // Records the result of a check; true: the process has been gone for kGoneNs, so its entry may be
  // erased.
  bool gone_for_long(bool gone, uint64_t now_ns) {
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
  static constexpr int kShift = 20;  // about a millisecond; 32 bits of them wrap after 52 days
  uint32_t since_ = 0;               // 0: it existed at the last check
};

}  // namespace knell::process
