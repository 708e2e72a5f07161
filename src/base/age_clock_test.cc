// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/age_clock.h"

#include <gtest/gtest.h>

namespace knell {
namespace {

constexpr int64_t kSecond = 1'000'000'000, kDay = 86'400 * kSecond, kYear = 365 * kDay;
constexpr int64_t kEpoch = 50 * kYear;

class AgeClockTest : public ::testing::Test {
 protected:
  AgeClockTest() { clock_.epoch_ns = kEpoch; }
  void pass(int64_t ns) { clock_.now_ns += static_cast<uint64_t>(ns); }
  // The difference between this clock and a clock that was never set.
  int64_t error(AgeClock& age) {
    return age.now_ns() - kEpoch - static_cast<int64_t>(clock_.now_ns);
  }

  FakeClock clock_;
};

TEST_F(AgeClockTest, RunsLikeTheClock) {
  AgeClock age(clock_, INT64_MAX);
  EXPECT_EQ(error(age), 0);
  pass(kYear);
  EXPECT_EQ(error(age), 0);
  clock_.boot_ahead_ns = kDay;  // suspended for a day
  clock_.epoch_ns += kDay;
  EXPECT_EQ(error(age), kDay);
}

TEST_F(AgeClockTest, IsNotSetForwardByAMistake) {
  AgeClock age(clock_, INT64_MAX);
  clock_.epoch_ns += kYear;
  EXPECT_EQ(error(age), 0);
  pass(kDay / 2);
  EXPECT_EQ(error(age), 0);
  clock_.epoch_ns = kEpoch;
  pass(kDay);
  EXPECT_EQ(error(age), 0);
}

TEST_F(AgeClockTest, FollowsAClockThatWasSetRight) {
  AgeClock age(clock_, INT64_MAX);
  pass(kDay);
  clock_.epoch_ns += kYear;
  EXPECT_EQ(error(age), 0);
  pass(kDay - 1);
  EXPECT_EQ(error(age), 0);
  clock_.epoch_ns += kSecond;  // adjusted
  pass(1);
  EXPECT_EQ(error(age), kYear + kSecond);
}

TEST_F(AgeClockTest, WaitsAgainIfTheClockIsSetAgain) {
  AgeClock age(clock_, INT64_MAX);
  clock_.epoch_ns += kYear;
  EXPECT_EQ(error(age), 0);
  pass(kDay / 2);
  clock_.epoch_ns += kYear;
  EXPECT_EQ(error(age), 0);
  pass(kDay - 1);
  EXPECT_EQ(error(age), 0);
  pass(1);
  EXPECT_EQ(error(age), 2 * kYear);
}

TEST_F(AgeClockTest, IsSetBackAtOnce) {
  AgeClock age(clock_, INT64_MAX);
  clock_.epoch_ns -= kYear;
  EXPECT_EQ(error(age), -kYear);
}

// The clock was wrong when the program started.
TEST_F(AgeClockTest, BeginsAtTheNewestData) {
  AgeClock age(clock_, kEpoch - kYear);
  EXPECT_EQ(error(age), -kYear - static_cast<int64_t>(clock_.now_ns));
  pass(kDay);
  EXPECT_EQ(error(age), 0);
  AgeClock future(clock_, kEpoch + kYear);
  EXPECT_EQ(error(future), 0);
}

}  // namespace
}  // namespace knell
