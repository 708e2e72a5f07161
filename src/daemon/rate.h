// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace knell::daemon {

// The rate of a counter over the last minute. sample() may be called at any times.
class Rate {
 public:
  void sample(uint64_t count, uint64_t now_ns) {
    const uint64_t second = now_ns / kSecondNs;
    if (samples_ != 0 && second == marks_[(samples_ - 1) % kMarks].second) return;
    marks_[samples_++ % kMarks] = {second, count};
  }
  // Increase per second. nullopt: not known yet.
  std::optional<double> per_second(uint64_t count, uint64_t now_ns) const {
    const uint64_t second = now_ns / kSecondNs;
    // The oldest sample within the last minute, else the newest older one
    const Mark* last = nullptr;
    for (size_t back = samples_ < kMarks ? samples_ : kMarks; back > 0; --back) {
      const Mark& mark = marks_[(samples_ - back) % kMarks];
      if (mark.second == second) continue;
      last = &mark;
      if (mark.second + kMarks >= second) break;
    }
    if (last == nullptr) return std::nullopt;
    return static_cast<double>(count - last->count) / static_cast<double>(second - last->second);
  }

 private:
  static constexpr uint64_t kSecondNs = 1'000'000'000;
  static constexpr size_t kMarks = 60;
  struct Mark {
    uint64_t second = 0, count = 0;
  };
  std::array<Mark, kMarks> marks_;
  size_t samples_ = 0;
};

}  // namespace knell::daemon
