// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/pacing.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace knell::source {
namespace {

using Plan = Pacer::Plan;
constexpr uint64_t kBudget = 1000;
constexpr auto kFixed = filter::Latency::fixed(kBudget);
constexpr Plan kWatch{true, 0};

Plan timer(uint64_t at) { return {false, at}; }

TEST(Pacer, WatchesTheDescriptorFromTheStart) { EXPECT_EQ(Pacer(kFixed).plan(), kWatch); }

TEST(Pacer, SingleEventsNeverStartTheTimer) {
  Pacer pacer(kFixed);
  for (uint64_t now = 5000; now < 50000; now += kBudget) {
    EXPECT_EQ(pacer.drained(Drained::kSome, 1, now), kWatch);
  }
}

TEST(Pacer, SecondEventWithinTheBudgetStartsTheTimer) {
  Pacer pacer(kFixed);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 5000), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 5999), timer(6999));
  EXPECT_EQ(pacer.state(), Pacer::State::kPaced);
}

TEST(Pacer, TimerContinuesWhileDrainsFindEvents) {
  Pacer pacer(kFixed);
  pacer.drained(Drained::kSome, 1, 5000);
  pacer.drained(Drained::kSome, 1, 5001);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 6005), timer(7005));
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 7005), timer(8005));
}

TEST(Pacer, FallsAsleepWhenTheTimerFindsNothing) {
  Pacer pacer(kFixed);
  pacer.drained(Drained::kSome, 1, 5000);
  pacer.drained(Drained::kSome, 1, 5001);
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 6001), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 6002), kWatch)
      << "the first event after falling asleep starts no timer";
}

TEST(Pacer, ReadingUntilEmptyDoesNotEndThePacedState) {
  Pacer pacer(kFixed);
  pacer.drained(Drained::kSome, 1, 5000);
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 5000), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 5010), timer(6010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 5011), timer(6010));
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 6010), timer(7010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 6011), timer(7010));
}

TEST(Pacer, EventsReadBeforeTheTimerKeepItGoing) {
  Pacer pacer(kFixed);
  pacer.drained(Drained::kSome, 1, 5000);
  pacer.drained(Drained::kSome, 1, 5010);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 5500), timer(6010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 6010), timer(7010));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 7010), kWatch);
}

TEST(Pacer, DrainsAgainAtOnceAfterABoundedDrain) {
  Pacer pacer(kFixed);
  EXPECT_EQ(pacer.drained(Drained::kMore, 1000, 5000), (Plan{true, 5000}));
  EXPECT_EQ(pacer.drained(Drained::kMore, 1000, 5001), timer(5001));
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 5002), timer(6001));
}

TEST(Pacer, NeverStartsTheTimerWithoutABudget) {
  Pacer pacer{filter::Latency()};
  for (uint64_t now = 5000; now < 5010; now++) {
    EXPECT_EQ(pacer.drained(Drained::kSome, 1, now), kWatch);
    EXPECT_EQ(pacer.drained(Drained::kSome, 1, now), kWatch);
  }
  EXPECT_EQ(pacer.drained(Drained::kMore, 1000, 6000), (Plan{true, 6000}));
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 6001), kWatch);
}

// ------------------------------------------------------------------ a budget that grows

constexpr filter::Latency kGrowing{.ns = 1000, .under_load_ns = 10'000};

// A pacer that became paced at `now`.
Pacer paced_at(uint64_t now) {
  Pacer pacer(kGrowing);
  pacer.drained(Drained::kSome, 1, now - 1);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, now), timer(now + 1000));
  return pacer;
}

TEST(Pacer, ManyEventsDoubleTheBudgetUpToTheLimit) {
  Pacer pacer = paced_at(5000);
  EXPECT_EQ(pacer.drained(Drained::kSome, 5, 6000), timer(8000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 9, 8000), timer(12'000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 17, 12'000), timer(20'000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 33, 20'000), timer(30'000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 41, 30'000), timer(40'000));
}

TEST(Pacer, FewEventsKeepTheBudget) {
  Pacer pacer = paced_at(5000);
  for (uint64_t now = 6000; now < 50'000; now += 1000)
    EXPECT_EQ(pacer.drained(Drained::kSome, Pacer::kManyEvents, now), timer(now + 1000));
}

TEST(Pacer, FewerEventsRestoreTheBudgetAtOnce) {
  Pacer pacer = paced_at(5000);
  pacer.drained(Drained::kSome, 100, 6000);
  EXPECT_EQ(pacer.drained(Drained::kSome, 100, 8000), timer(12'000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 16, 12'000), timer(13'000));
}

TEST(Pacer, CountsTheEventsOfAllDrainsSinceTheTimerWasSet) {
  Pacer pacer = paced_at(5000);
  pacer.drained(Drained::kSome, 2, 5300);
  pacer.drained(Drained::kSome, 2, 5600);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 6000), timer(8000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 5, 8000), timer(9000)) << "counts the events once";
}

// A late drain finds more events, but the rate is not higher.
TEST(Pacer, ALateDrainIsMeasuredByItsTime) {
  Pacer pacer = paced_at(5000);
  EXPECT_EQ(pacer.drained(Drained::kSome, 12, 8000), timer(9000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 13, 12'000), timer(13'000));
}

TEST(Pacer, TheFirstEventAfterALoadIsDeliveredAtOnce) {
  Pacer pacer = paced_at(5000);
  pacer.drained(Drained::kSome, 100, 6000);
  pacer.drained(Drained::kSome, 100, 8000);
  EXPECT_EQ(pacer.drained(Drained::kEmpty, 0, 12'000), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 12'500), kWatch);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1, 13'499), timer(14'499)) << "the budget is the least";
}

TEST(Pacer, AFixedBudgetDoesNotGrow) {
  Pacer pacer(kFixed);
  pacer.drained(Drained::kSome, 1, 4999);
  pacer.drained(Drained::kSome, 1, 5000);
  EXPECT_EQ(pacer.drained(Drained::kSome, 1000, 6000), timer(7000));
  EXPECT_EQ(pacer.drained(Drained::kSome, 1000, 7000), timer(8000));
}

// One event a microsecond for 29 ms, then none: counts the wakeups and measures the longest wait.
TEST(Pacer, NoEventWaitsLongerThanTheBudget) {
  constexpr uint64_t kMs = 1'000'000;
  Pacer pacer(filter::Latency::fixed(kMs));
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
    plan =
        pacer.drained(oldest != 0 ? Drained::kSome : Drained::kEmpty, oldest != 0 ? 1000 : 0, now);
    oldest = 0;
  }
  EXPECT_LE(longest, kMs);
  EXPECT_LE(wakes, 33);
  EXPECT_EQ(plan, kWatch);
}

}  // namespace
}  // namespace knell::source
