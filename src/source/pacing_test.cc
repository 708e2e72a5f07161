// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/pacing.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace knell::source {
namespace {

using Plan = Pacer::Plan;
constexpr uint64_t kBudget = 1000;
constexpr Plan kWatch{true, 0};

Plan timer(uint64_t at) { return {false, at}; }

TEST(Pacer, WatchesTheDescriptorFromTheStart) { EXPECT_EQ(Pacer(kBudget).plan(), kWatch); }

TEST(Pacer, SingleEventsNeverStartTheTimer) {
  Pacer pacer(kBudget);
  for (uint64_t now = 5000; now < 50000; now += kBudget) {
    EXPECT_EQ(pacer.drained(Drained::kSome, now), kWatch);
  }
}

TEST(Pacer, SecondEventWithinTheBudgetStartsTheTimer) {
  Pacer pacer(kBudget);
  EXPECT_EQ(pacer.drained(Drained::kSome, 5000), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 5999), timer(6999));
  EXPECT_EQ(pacer.state(), Pacer::State::kPaced);
}

TEST(Pacer, TimerContinuesWhileDrainsFindEvents) {
  Pacer pacer(kBudget);
  pacer.drained(Drained::kSome, 5000);
  pacer.drained(Drained::kSome, 5001);
  EXPECT_EQ(pacer.drained(Drained::kSome, 6005), timer(7005));
  EXPECT_EQ(pacer.drained(Drained::kSome, 7005), timer(8005));
}

TEST(Pacer, FallsAsleepWhenTheTimerFindsNothing) {
  Pacer pacer(kBudget);
  pacer.drained(Drained::kSome, 5000);
  pacer.drained(Drained::kSome, 5001);
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 6001), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 6002), kWatch)
      << "the first event after falling asleep starts no timer";
}

TEST(Pacer, ReadingUntilEmptyDoesNotEndThePacedState) {
  Pacer pacer(kBudget);
  pacer.drained(Drained::kSome, 5000);
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 5000), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 5010), timer(6010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 5011), timer(6010));
  EXPECT_EQ(pacer.drained(Drained::kSome, 6010), timer(7010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 6011), timer(7010));
}

TEST(Pacer, EventsReadBeforeTheTimerKeepItGoing) {
  Pacer pacer(kBudget);
  pacer.drained(Drained::kSome, 5000);
  pacer.drained(Drained::kSome, 5010);
  EXPECT_EQ(pacer.drained(Drained::kSome, 5500), timer(6010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 6010), timer(7010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 7010), kWatch);
}

TEST(Pacer, DrainsAgainAtOnceAfterABoundedDrain) {
  Pacer pacer(kBudget);
  EXPECT_EQ(pacer.drained(Drained::kMore, 5000), (Plan{true, 5000}));
  EXPECT_EQ(pacer.drained(Drained::kMore, 5001), timer(5001));
  EXPECT_EQ(pacer.drained(Drained::kSome, 5002), timer(6001));
}

TEST(Pacer, NeverStartsTheTimerWithoutABudget) {
  Pacer pacer(0);
  for (uint64_t now = 5000; now < 5010; now++) {
    EXPECT_EQ(pacer.drained(Drained::kSome, now), kWatch);
    EXPECT_EQ(pacer.drained(Drained::kSome, now), kWatch);
  }
  EXPECT_EQ(pacer.drained(Drained::kMore, 6000), (Plan{true, 6000}));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 6001), kWatch);
}

// One event a microsecond for 29 ms, then none: counts the wakeups and measures the longest wait.
TEST(Pacer, NoEventWaitsLongerThanTheBudget) {
  constexpr uint64_t kMs = 1'000'000;
  Pacer pacer(kMs);
  uint64_t oldest = 0, longest = 0;
  int wakes = 0;
  Plan plan = pacer.plan();
  for (uint64_t now = kMs; now < 50 * kMs; now += 1000) {
    if (now < 30 * kMs && oldest == 0) oldest = now;
    const bool wake =
        (plan.watch_fd && oldest != 0) || (plan.timer_ns != 0 && plan.timer_ns <= now);
    if (!wake) continue;
    wakes++;
    if (oldest != 0) longest = std::max(longest, now - oldest);
    plan = pacer.drained(oldest != 0 ? Drained::kSome : Drained::kEmpty, now);
    oldest = 0;
  }
  EXPECT_LE(longest, kMs);
  EXPECT_LE(wakes, 33);
  EXPECT_EQ(plan, kWatch);
}

}  // namespace
}  // namespace knell::source
