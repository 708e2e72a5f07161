// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace knell::cli {

struct ProcessCounts {
  uint64_t born = 0, died = 0, failed = 0;

  ProcessCounts& operator+=(const ProcessCounts& other) {
    born += other.born;
    died += other.died;
    failed += other.failed;
    return *this;
  }
};

// Counts for the last `Slots` slots of time. A slot is a number that rises with the time. If the
// clock is set back by more than the ring, the ring begins again.
template <size_t Slots>
class CountRing {
 public:
  static constexpr size_t kSize = Slots;

  ProcessCounts& slot(int64_t number) {
    if (last_ != kNone && number <= last_ - static_cast<int64_t>(Slots)) *this = {};
    if (last_ == kNone || number > last_) advance(number);
    return slots_[place(number)];
  }
  // Zero for a slot that is not in the ring.
  ProcessCounts at(int64_t number) const {
    const bool inside =
        last_ != kNone && number <= last_ && number > last_ - static_cast<int64_t>(Slots);
    return inside ? slots_[place(number)] : ProcessCounts();
  }

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::min();

  static size_t place(int64_t number) { return static_cast<uint64_t>(number) % Slots; }
  void advance(int64_t number) {
    const int64_t first =
        last_ == kNone ? number : std::max(last_ + 1, number - static_cast<int64_t>(Slots) + 1);
    for (int64_t each = first; each <= number; ++each) slots_[place(each)] = {};
    last_ = number;
  }

  std::array<ProcessCounts, Slots> slots_{};
  int64_t last_ = kNone;
};

}  // namespace knell::cli
