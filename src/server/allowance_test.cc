// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/allowance.h"

#include <gtest/gtest.h>

namespace knell::server {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStart = 1000 * kSecond;

int made_at(Allowance& allowance, uint64_t now_ns) {
  int made = 0;
  for (; allowance.any(now_ns); ++made) allowance.spend();
  return made;
}

TEST(Allowance, IsASecondsWorthAtOnceAndThenSoManyASecond) {
  Allowance allowance(100, kStart);
  EXPECT_EQ(made_at(allowance, kStart), 100);
  EXPECT_EQ(made_at(allowance, kStart), 0);
  EXPECT_EQ(made_at(allowance, kStart + kSecond / 2), 50);
  EXPECT_EQ(made_at(allowance, kStart + 3600 * kSecond), 100);
}

TEST(Allowance, WhoHasNoneIsHeldAndLetGoAgain) {
  Allowance allowance(1, kStart);
  EXPECT_EQ(allowance.held_until_ns(), 0u);
  made_at(allowance, kStart);
  const uint64_t until = allowance.held_until_ns();
  EXPECT_GT(until, kStart);
  allowance.release(until - 1);
  EXPECT_EQ(allowance.held_until_ns(), until);
  allowance.release(until);
  EXPECT_EQ(allowance.held_until_ns(), 0u);
}

TEST(Allowance, ALargeRequestIsPaidForAfterwards) {
  Allowance allowance(10, kStart);
  ASSERT_TRUE(allowance.any(kStart));
  allowance.spend(25);
  EXPECT_FALSE(allowance.any(kStart + kSecond));
  EXPECT_TRUE(allowance.any(kStart + 2 * kSecond));
}

TEST(Allowance, ATimeThatIsEarlierThanTheLastGivesNothing) {
  Allowance allowance(10, kStart);
  made_at(allowance, kStart);
  EXPECT_FALSE(allowance.any(0));
  EXPECT_FALSE(allowance.any(kStart));
}

TEST(Allowance, ARateOfNoneIsOne) {
  Allowance allowance(0, kStart);
  EXPECT_EQ(made_at(allowance, kStart), 1);
}

TEST(Allowance, ALowerRateHoldsFromThenOn) {
  Allowance allowance(1000, kStart);
  allowance.set_rate(10);
  EXPECT_EQ(made_at(allowance, kStart), 10);
}

}  // namespace
}  // namespace knell::server
