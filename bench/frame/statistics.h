// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace knell::bench {

// An interval for the median of what the rounds were drawn from: two order statistics whose ranks
// the binomial distribution gives, so nothing is assumed of the figures' own distribution. That
// takes six rounds; with fewer, low and high are the whole range and `is_95` is false.
struct Interval {
  double low = 0, high = 0;
  bool is_95 = false;
};

constexpr size_t kRoundsForInterval = 6;  // 1 - 2 * 0.5^6 >= 0.95

double median(std::vector<double> values);                  // not of nothing
double quantile(std::vector<double> values, double share);  // 0..1, nearest rank; not of nothing
Interval interval_of_median(std::vector<double> values);    // not of nothing

}  // namespace knell::bench
