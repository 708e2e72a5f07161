// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/rate_limiter.h"

#include <gtest/gtest.h>

namespace knell::server {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStart = 1000 * kSecond;

int made_at(RateLimiter& limiter, uint64_t now_ns) {
  int made = 0;
  for (; limiter.may_request(now_ns); ++made) limiter.spend();
  return made;
}

TEST(RateLimiter, AllowsABurstOfOneSecondAndThenTheRate) {
  RateLimiter limiter(100, kStart);
  EXPECT_EQ(made_at(limiter, kStart), 100);
  EXPECT_EQ(made_at(limiter, kStart), 0);
  EXPECT_EQ(made_at(limiter, kStart + kSecond / 2), 50);
  EXPECT_EQ(made_at(limiter, kStart + 3600 * kSecond), 100);
}

TEST(RateLimiter, HoldsAClientAboveItsRateAndReleasesIt) {
  RateLimiter limiter(1, kStart);
  EXPECT_EQ(limiter.held_until_ns(), 0u);
  made_at(limiter, kStart);
  const uint64_t until = limiter.held_until_ns();
  EXPECT_GT(until, kStart);
  limiter.release(until - 1);
  EXPECT_EQ(limiter.held_until_ns(), until);
  limiter.release(until);
  EXPECT_EQ(limiter.held_until_ns(), 0u);
}

TEST(RateLimiter, ARequestMayCostMoreThanIsLeft) {
  RateLimiter limiter(10, kStart);
  ASSERT_TRUE(limiter.may_request(kStart));
  limiter.spend(25);
  EXPECT_FALSE(limiter.may_request(kStart + kSecond));
  EXPECT_TRUE(limiter.may_request(kStart + 2 * kSecond));
}

TEST(RateLimiter, AnEarlierTimeRefillsNothing) {
  RateLimiter limiter(10, kStart);
  made_at(limiter, kStart);
  EXPECT_FALSE(limiter.may_request(0));
  EXPECT_FALSE(limiter.may_request(kStart));
}

TEST(RateLimiter, ARateOfZeroIsOne) {
  RateLimiter limiter(0, kStart);
  EXPECT_EQ(made_at(limiter, kStart), 1);
}

TEST(RateLimiter, ALowerRateHoldsAtOnce) {
  RateLimiter limiter(1000, kStart);
  limiter.set_rate(10);
  EXPECT_EQ(made_at(limiter, kStart), 10);
}

}  // namespace
}  // namespace knell::server
