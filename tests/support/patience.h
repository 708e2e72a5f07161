// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace knell::test {

// How long a test waits for something that should happen at once: only a bug exceeds it, even on a
// machine emulated in software. No test measures this time.
constexpr std::chrono::seconds kPatience{120};

// The time at which a test stops waiting.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds patience = kPatience)
      : at_(Clock::now() + patience) {}
  bool passed() const { return Clock::now() >= at_; }
  // For poll(2): the remaining time, at least 0.
  int left_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return static_cast<int>(std::max<decltype(left)>(left, 0));
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point at_;
};

}  // namespace knell::test
