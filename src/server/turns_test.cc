// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/turns.h"

#include <gtest/gtest.h>

#include <map>

namespace knell::server {
namespace {

constexpr uint32_t kRoot = 0, kFlooder = 1000, kOther = 1001;
constexpr uint64_t kMs = 1'000'000;

TEST(Turns, UsersTakeTurnsHoweverManyClientsTheyHave) {
  Turns turns;
  for (uint64_t id = 1; id <= 1000; ++id) turns.ready(kFlooder, id, 0);
  turns.ready(kRoot, 2000, 0);
  turns.ready(kOther, 2001, 0);
  std::vector<uint32_t> owners;
  for (int i = 0; i < 3; ++i) {
    const auto pick = turns.next(0);
    ASSERT_TRUE(pick);
    owners.push_back(pick->owner);
    turns.done(*pick, 1000, Turns::Again::kYes, 0);
  }
  EXPECT_EQ(owners, (std::vector<uint32_t>{kFlooder, kRoot, kOther}));
}

TEST(Turns, TheClientsOfAUserTakeTurns) {
  Turns turns;
  for (uint64_t id = 1; id <= 3; ++id) turns.ready(kOther, id, 0);
  std::map<uint64_t, int> served;
  for (int i = 0; i < 30; ++i) {
    const auto pick = turns.next(0);
    ASSERT_TRUE(pick);
    ++served[pick->client];
    turns.done(*pick, 0, Turns::Again::kYes, 0);
  }
  EXPECT_EQ(served, (std::map<uint64_t, int>{{1, 10}, {2, 10}, {3, 10}}));
}

// Requests of a millisecond each, for ten seconds: the user gets a quarter of the time plus its
// initial credit.
TEST(Turns, AUserGetsAShareOfTheTime) {
  Turns turns;
  turns.ready(kFlooder, 1, 0);
  uint64_t now = 0, spent = 0;
  while (now < 10'000 * kMs) {
    const auto pick = turns.next(now);
    if (!pick) {
      ASSERT_GT(turns.due_ns(), now);
      now = turns.due_ns();
      continue;
    }
    spent += kMs;
    now += kMs;
    turns.done(*pick, kMs, Turns::Again::kYes, now);
  }
  EXPECT_NEAR(static_cast<double>(spent), 2'520e6, 20e6);
}

TEST(Turns, AUserInDebtWaitsAndDelaysNoOther) {
  Turns turns;
  turns.ready(kFlooder, 1, 0);
  turns.done(*turns.next(0), 120 * kMs, Turns::Again::kYes, 0);
  EXPECT_FALSE(turns.next(0));
  EXPECT_GT(turns.due_ns(), 399 * kMs);
  turns.ready(kOther, 2, 0);
  EXPECT_EQ(turns.due_ns(), 1u);
  ASSERT_EQ(turns.next(0)->client, 2u);
  EXPECT_FALSE(turns.next(399 * kMs));
  EXPECT_EQ(turns.next(401 * kMs)->client, 1u);
}

TEST(Turns, RootNeverWaitsForCredit) {
  Turns turns;
  turns.ready(kRoot, 1, 0);
  for (int i = 0; i < 10; ++i) turns.done(*turns.next(0), 1000 * kMs, Turns::Again::kYes, 0);
  EXPECT_TRUE(turns.next(0));
}

// A user's debt outlives its clients, and however many other users there were.
TEST(Turns, KeepsTheDebtOfAUserAmongManyIdleOnes) {
  Turns turns;
  turns.ready(kFlooder, 1, 0);
  turns.done(*turns.next(0), 30 * kMs, Turns::Again::kNo, 0);
  for (uint32_t owner = 2000; owner < 5000; ++owner) {
    turns.ready(owner, owner, 0);
    turns.done(*turns.next(0), 0, Turns::Again::kNo, 0);
  }
  turns.ready(kFlooder, 1, 0);
  EXPECT_FALSE(turns.next(0));
  EXPECT_TRUE(turns.next(1000 * kMs));
  EXPECT_FALSE(turns.next(1000 * kMs));
  EXPECT_EQ(turns.due_ns(), 0u);
}

}  // namespace
}  // namespace knell::server
