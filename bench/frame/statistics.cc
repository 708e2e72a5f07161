// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/statistics.h"

#include <algorithm>
#include <cmath>

namespace knell::bench {
namespace {

// How many of the smallest (and of the largest) of n figures lie outside the interval: the most for
// which the median is inside with 95 %. P(fewer than k of n below it) = P(Binomial(n, 1/2) < k).
size_t left_out(size_t n) {
  double term = std::pow(0.5, static_cast<double>(n));  // P(exactly 0 of n)
  double below = 0;
  size_t k = 0;
  for (; k < n / 2; ++k) {
    below += term;
    if (2 * below > 0.05) break;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return k;  // 0: not even the whole range holds it with 95 %
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double quantile(std::vector<double> values, double share) {
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  const size_t at = std::min(values.size(), static_cast<size_t>(std::max(rank, 1.0))) - 1;
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
  return values[at];
}

Interval interval_of_median(std::vector<double> values) {
  std::ranges::sort(values);
  // Beyond a thousand rounds the first term is no double any more, and nobody counts ranks.
  const size_t n = values.size();
  const size_t out = n <= 1000 ? left_out(n)
                               : static_cast<size_t>(static_cast<double>(n) / 2 -
                                                     1.96 * std::sqrt(static_cast<double>(n)) / 2);
  if (out == 0) return {.low = values.front(), .high = values.back(), .is_95 = false};
  return {.low = values[out - 1], .high = values[n - out], .is_95 = true};
}

}  // namespace knell::bench
