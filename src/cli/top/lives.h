// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace knell::cli {

// How long processes lived: the shortest life, and a histogram with eight buckets for each
// doubling, so that the median is within 7 % of the exact one. Lives below 16 us share a bucket,
// and so do those above 26 days.
class Lives {
 public:
  void add(uint64_t ns) {
    shortest_ns_ = std::min(shortest_ns_, ns);
    uint32_t& bucket = buckets_[index_of(ns)];
    ++count_;
    if (++bucket != UINT32_MAX) return;
    // Halving all buckets does not change the median.
    count_ = 0;
    for (uint32_t& each : buckets_) count_ += (each /= 2);
  }
  bool any() const { return count_ != 0; }
  uint64_t shortest_ns() const { return shortest_ns_; }
  uint64_t median_ns() const {
    uint64_t before = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      before += buckets_[i];
      if (2 * before >= count_) return std::max(middle_of(i), shortest_ns_);
    }
    return 0;
  }

 private:
  static constexpr size_t kLowest = 14, kHighest = 51;  // powers of two, in ns
  static constexpr size_t kSubBits = 3;

  static size_t index_of(uint64_t ns) {
    ns = std::clamp<uint64_t>(ns, uint64_t{1} << kLowest, (uint64_t{1} << kHighest) - 1);
    const auto power = static_cast<size_t>(std::bit_width(ns)) - 1;
    const uint64_t below = (ns >> (power - kSubBits)) & ((1U << kSubBits) - 1);
    return ((power - kLowest) << kSubBits) + below;
  }
  static uint64_t middle_of(size_t index) {
    const size_t power = kLowest + (index >> kSubBits);
    const uint64_t eighth = uint64_t{1} << (power - kSubBits);
    return (uint64_t{1} << power) + (index & ((1U << kSubBits) - 1)) * eighth + eighth / 2;
  }

  std::array<uint32_t, (kHighest - kLowest) << kSubBits> buckets_{};
  uint64_t count_ = 0;
  uint64_t shortest_ns_ = std::numeric_limits<uint64_t>::max();
};

}  // namespace knell::cli
