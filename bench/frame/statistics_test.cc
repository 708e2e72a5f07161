// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/statistics.h"

#include <gtest/gtest.h>

#include <numeric>

namespace knell::bench {
namespace {

std::vector<double> up_to(size_t n) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}

TEST(Statistics, MedianOfEvenCountLiesBetweenTheTwoInTheMiddle) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
}

TEST(Statistics, QuantileIsAValueThatOccurred) {
  EXPECT_EQ(quantile(up_to(100), 0.5), 50);
  EXPECT_EQ(quantile(up_to(100), 0.99), 99);
  EXPECT_EQ(quantile(up_to(100), 0), 1);
  EXPECT_EQ(quantile({7}, 0.999), 7);
}

TEST(Statistics, FiveRoundsGiveTheRangeAndSaySo) {
  const Interval interval = interval_of_median(up_to(5));
  EXPECT_EQ(interval.low, 1);
  EXPECT_EQ(interval.high, 5);
  EXPECT_FALSE(interval.is_95);
}

// The ranks are those of the usual table of the sign test's interval.
TEST(Statistics, RanksOfTheBinomialTable) {
  const struct {
    size_t n;
    double low, high;
  } kTable[] = {{6, 1, 6},   {8, 1, 8},    {9, 2, 8},    {15, 4, 12},
                {25, 8, 18}, {50, 18, 33}, {100, 40, 61}};
  for (const auto& [n, low, high] : kTable) {
    const Interval interval = interval_of_median(up_to(n));
    EXPECT_TRUE(interval.is_95) << n;
    EXPECT_EQ(interval.low, low) << n;
    EXPECT_EQ(interval.high, high) << n;
  }
}

TEST(Statistics, ThousandsOfRoundsAreNearTheMedianAsWell) {
  const Interval interval = interval_of_median(up_to(10'000));
  EXPECT_TRUE(interval.is_95);
  EXPECT_NEAR(interval.low, 4902, 2);
  EXPECT_NEAR(interval.high, 5099, 2);
}

}  // namespace
}  // namespace knell::bench
