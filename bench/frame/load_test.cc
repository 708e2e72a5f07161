// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/load.h"

#include <gtest/gtest.h>

namespace knell::bench {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

TEST(Load, StopsAtItsBoundAsFastAsItGoes) {
  std::mt19937 random(1);
  const auto load = blow_paced({.for_ns = 60'000 * kMillisecond, .at_most = 50}, random);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->count, 50u);
  EXPECT_EQ(load->late, 0u) << "nothing was due";
  EXPECT_GT(load->per_second(), 0);
}

TEST(Load, StopsWhenItsTimeIsOver) {
  std::mt19937 random(1);
  const auto load = blow_paced({.for_ns = 5 * kMillisecond}, random);
  ASSERT_TRUE(load);
  EXPECT_GE(load->end_ns - load->begin_ns, 5 * kMillisecond);
}

// However slow the machine: what is due within the time is made up for, no more and no less.
TEST(Load, KeepsToTheClock) {
  for (const double jitter : {0.0, 0.5}) {
    std::mt19937 random(1);
    const auto load =
        blow_paced({.per_second = 1000, .jitter = jitter, .for_ns = 30 * kMillisecond}, random);
    ASSERT_TRUE(load);
    EXPECT_EQ(load->count, 30u);
  }
}

TEST(Load, OfShortPeriodsToo) {
  std::mt19937 random(1);
  const auto load = blow_paced({.per_second = 20'000, .for_ns = 10 * kMillisecond}, random);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->count, 200u);
}

}  // namespace
}  // namespace knell::bench
