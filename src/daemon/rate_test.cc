// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/rate.h"

#include <gtest/gtest.h>

namespace knell::daemon {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(Rate, IsNotKnownBeforeTheFirstSecond) {
  Rate rate;
  EXPECT_FALSE(rate.per_second(0, 0));
  rate.sample(5, 10 * kSecond);
  EXPECT_FALSE(rate.per_second(7, 10 * kSecond + 1));
}

TEST(Rate, CoversTheLastMinute) {
  Rate rate;
  uint64_t count = 0;
  for (uint64_t second = 1; second <= 300; ++second) {
    rate.sample(count, second * kSecond);
    count += second <= 200 ? 1000 : 10;
  }
  const auto per_second = rate.per_second(count, 301 * kSecond);
  ASSERT_TRUE(per_second);
  EXPECT_DOUBLE_EQ(*per_second, 10);
}

TEST(Rate, TakesOneSampleASecond) {
  Rate rate;
  for (uint64_t i = 0; i < 1000; ++i) rate.sample(i, kSecond + i);
  rate.sample(1000, 2 * kSecond);
  EXPECT_DOUBLE_EQ(rate.per_second(1000, 2 * kSecond).value_or(-1), 1000);
}

// An idle daemon takes no samples.
TEST(Rate, CoversALongTimeWithoutSamples) {
  Rate rate;
  rate.sample(1000, kSecond);
  rate.sample(2000, 1001 * kSecond);
  EXPECT_DOUBLE_EQ(rate.per_second(2000, 1001 * kSecond).value_or(-1), 1);
  EXPECT_DOUBLE_EQ(rate.per_second(2000, 2001 * kSecond).value_or(-1), 0);
}

}  // namespace
}  // namespace knell::daemon
