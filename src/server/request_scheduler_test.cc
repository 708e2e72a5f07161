// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/request_scheduler.h"

#include <gtest/gtest.h>

#include <map>

namespace knell::server {
namespace {

constexpr uint32_t kRoot = 0, kFlooder = 1000, kOther = 1001;
constexpr uint64_t kMs = 1'000'000;

TEST(RequestScheduler, UsersTakeTurnsHoweverManyClientsTheyHave) {
  RequestScheduler scheduler;
  for (uint64_t id = 1; id <= 1000; ++id) scheduler.ready(kFlooder, id, 0);
  scheduler.ready(kRoot, 2000, 0);
  scheduler.ready(kOther, 2001, 0);
  std::vector<uint32_t> owners;
  for (int i = 0; i < 3; ++i) {
    const auto pick = scheduler.next(0);
    ASSERT_TRUE(pick);
    owners.push_back(pick->owner);
    scheduler.done(*pick, 1000, RequestScheduler::Again::kYes, 0);
  }
  EXPECT_EQ(owners, (std::vector<uint32_t>{kFlooder, kRoot, kOther}));
}

TEST(RequestScheduler, TheClientsOfAUserTakeTurns) {
  RequestScheduler scheduler;
  for (uint64_t id = 1; id <= 3; ++id) scheduler.ready(kOther, id, 0);
  std::map<uint64_t, int> served;
  for (int i = 0; i < 30; ++i) {
    const auto pick = scheduler.next(0);
    ASSERT_TRUE(pick);
    ++served[pick->client];
    scheduler.done(*pick, 0, RequestScheduler::Again::kYes, 0);
  }
  EXPECT_EQ(served, (std::map<uint64_t, int>{{1, 10}, {2, 10}, {3, 10}}));
}

// Requests of a millisecond each, for ten seconds: the user gets a quarter of the time plus its
// initial credit.
TEST(RequestScheduler, AUserGetsAShareOfTheTime) {
  RequestScheduler scheduler;
  scheduler.ready(kFlooder, 1, 0);
  uint64_t now = 0, spent = 0;
  while (now < 10'000 * kMs) {
    const auto pick = scheduler.next(now);
    if (!pick) {
      ASSERT_GT(scheduler.due_ns(), now);
      now = scheduler.due_ns();
      continue;
    }
    spent += kMs;
    now += kMs;
    scheduler.done(*pick, kMs, RequestScheduler::Again::kYes, now);
  }
  EXPECT_NEAR(static_cast<double>(spent), 2'520e6, 20e6);
}

TEST(RequestScheduler, AUserInDebtWaitsAndDelaysNoOther) {
  RequestScheduler scheduler;
  scheduler.ready(kFlooder, 1, 0);
  scheduler.done(*scheduler.next(0), 120 * kMs, RequestScheduler::Again::kYes, 0);
  EXPECT_FALSE(scheduler.next(0));
  EXPECT_GT(scheduler.due_ns(), 399 * kMs);
  scheduler.ready(kOther, 2, 0);
  EXPECT_EQ(scheduler.due_ns(), 1u);
  ASSERT_EQ(scheduler.next(0)->client, 2u);
  EXPECT_FALSE(scheduler.next(399 * kMs));
  EXPECT_EQ(scheduler.next(401 * kMs)->client, 1u);
}

TEST(RequestScheduler, RootNeverWaitsForCredit) {
  RequestScheduler scheduler;
  scheduler.ready(kRoot, 1, 0);
  for (int i = 0; i < 10; ++i)
    scheduler.done(*scheduler.next(0), 1000 * kMs, RequestScheduler::Again::kYes, 0);
  EXPECT_TRUE(scheduler.next(0));
}

// A user without clients keeps its debt, however many idle users are removed.
TEST(RequestScheduler, KeepsTheDebtOfAUserAmongManyIdleOnes) {
  RequestScheduler scheduler;
  scheduler.ready(kFlooder, 1, 0);
  scheduler.done(*scheduler.next(0), 30 * kMs, RequestScheduler::Again::kNo, 0);
  for (uint32_t owner = 2000; owner < 5000; ++owner) {
    scheduler.ready(owner, owner, 0);
    scheduler.done(*scheduler.next(0), 0, RequestScheduler::Again::kNo, 0);
  }
  scheduler.ready(kFlooder, 1, 0);
  EXPECT_FALSE(scheduler.next(0));
  EXPECT_TRUE(scheduler.next(1000 * kMs));
  EXPECT_FALSE(scheduler.next(1000 * kMs));
  EXPECT_EQ(scheduler.due_ns(), 0u);
}

}  // namespace
}  // namespace knell::server
