// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <numeric>
#include <vector>

namespace knell::hub {
namespace {

using testing::HasSubstr;

constexpr uint32_t kUser = 1000, kRoot = 0;

TEST(Users, LimitsListenersPerUserExceptForRoot) {
  Users users;
  const Limits limits{.listeners = 5, .listeners_per_user = 2};
  ASSERT_TRUE(users.enter(kUser, limits));
  Users::Account& account = **users.enter(kUser, limits);
  const auto third = users.enter(kUser, limits);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, EUSERS);
  EXPECT_THAT(third.error().message(), HasSubstr("limits.clients_per_user"));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(users.enter(kRoot, limits));
  const auto sixth = users.enter(kRoot, limits);
  ASSERT_FALSE(sixth);
  EXPECT_THAT(sixth.error().message(), HasSubstr("limits.clients)"));
  users.leave(account);
  EXPECT_TRUE(users.enter(kUser, limits));
}

TEST(Users, ForgetsUsersWithoutListeners) {
  Users users;
  const Limits limits{.listeners_per_user = 0};
  EXPECT_FALSE(users.enter(kUser, limits));
  users.leave(**users.enter(kRoot, limits));
  EXPECT_TRUE(users.all().empty());
  EXPECT_EQ(users.listeners(), 0u);
}

TEST(Users, ARefusedFilterIsNotCharged) {
  Users users;
  const Limits limits{.values_per_user = 10, .roots_per_user = 2};
  Users::Account& account = **users.enter(kUser, limits);
  ASSERT_TRUE(users.claim(account, {}, {.values = 8}, limits));
  const auto values = users.claim(account, {}, {.values = 3}, limits);
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().code, EDQUOT);
  EXPECT_THAT(values.error().message(), HasSubstr("11 filter values, and 10 are the most"));
  EXPECT_EQ(account.values, 8u);
  const auto roots = users.claim(account, {}, {.values = 1, .roots = 3}, limits);
  ASSERT_FALSE(roots);
  EXPECT_THAT(roots.error().message(), HasSubstr("under"));
  EXPECT_TRUE(users.claim(account, {.values = 8}, {.values = 10, .roots = 2}, limits));
  EXPECT_TRUE(users.claim(account, {.values = 10, .roots = 2}, {}, limits));
  EXPECT_EQ(account, (Users::Account{.owner = kUser, .listeners = 1}));
}

// One person may have many uids, so limits per user are not enough.
TEST(Users, LimitsHoldForAllUsersTogether) {
  Users users;
  const Limits limits{.values_per_user = 10, .values = 15, .added_per_user = 2, .added = 3};
  Users::Account& one = **users.enter(kUser, limits);
  Users::Account& other = **users.enter(kUser + 1, limits);
  ASSERT_TRUE(users.claim(one, {}, {.values = 10}, limits));
  EXPECT_FALSE(users.claim(other, {}, {.values = 6}, limits));
  EXPECT_TRUE(users.claim(other, {}, {.values = 5}, limits));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(users.take_added(one, limits));
  EXPECT_FALSE(users.take_added(one, limits));
  EXPECT_TRUE(users.take_added(other, limits));
  EXPECT_FALSE(users.take_added(other, limits));
  users.give_added(one, 2);
  EXPECT_TRUE(users.take_added(other, limits));
}

TEST(Users, LimitsUnreadAnswersAndReservesHalfForRoot) {
  const Limits limits{.answer_bytes_per_user = 10, .answer_bytes = 100};
  const Users::Account some{.owner = kUser, .answer_bytes = 8}, root{.answer_bytes = 8};
  EXPECT_TRUE(Users::room_for_answer(some, 2, 48, limits));
  EXPECT_EQ(Users::room_for_answer(some, 3, 8, limits).error().code, EDQUOT);
  EXPECT_EQ(Users::room_for_answer(some, 2, 49, limits).error().code, ENOBUFS);
  EXPECT_TRUE(Users::room_for_answer(root, 50, 50, limits));
  EXPECT_EQ(Users::room_for_answer(root, 51, 50, limits).error().code, ENOBUFS);
}

TEST(Users, AUserAboveALoweredLimitMayReleaseQuota) {
  Users users;
  Users::Account& account = **users.enter(kUser, {});
  ASSERT_TRUE(users.claim(account, {}, {.values = 100}, {}));
  const Limits lower{.values_per_user = 10};
  EXPECT_TRUE(users.claim(account, {.values = 100}, {.values = 50}, lower));
  EXPECT_FALSE(users.claim(account, {.values = 50}, {.values = 51}, lower));
}

TEST(Users, LimitsTheStepsToJudgeAnEvent) {
  Users users;
  const Limits limits{.steps_per_user = 100};
  Users::Account& account = **users.enter(kUser, limits);
  ASSERT_TRUE(users.claim(account, {}, {.steps = 60}, limits));
  const auto more = users.claim(account, {}, {.steps = 41}, limits);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, EDQUOT);
  EXPECT_THAT(more.error().message(), HasSubstr("101 steps"));
  EXPECT_THAT(more.error().message(), HasSubstr("limits.filter_steps_per_user"));
  EXPECT_TRUE(users.claim(account, {.steps = 60}, {.steps = 100}, limits));
  Users::Account& root = **users.enter(kRoot, limits);
  EXPECT_TRUE(users.claim(root, {}, {.steps = 1'000'000}, limits));
}

// Users cannot exhaust a limit for all users: root's share remains.
TEST(Users, ReservesAShareForRoot) {
  Users users;
  const Limits limits{.listeners = 64, .listeners_per_user = 4, .values = 160, .added = 32};
  Users::Account* last = nullptr;
  size_t listeners = 0, values = 0, added = 0;
  for (uint32_t uid = 1; uid <= 100; ++uid)
    for (int i = 0; i < 4; ++i) {
      const auto entered = users.enter(uid, limits);
      if (!entered) continue;
      last = *entered;
      ++listeners;
      if (users.claim(*last, {}, {.values = 1}, limits)) ++values;
      for (int j = 0; j < 4; ++j) added += users.take_added(*last, limits) ? 1 : 0;
    }
  EXPECT_EQ(listeners, 60u);
  EXPECT_EQ(added, 30u);
  while (users.claim(*last, {}, {.values = 1}, limits)) ++values;
  EXPECT_EQ(values, 150u);
  for (int i = 0; i < 4; ++i) {
    const auto root = users.enter(kRoot, limits);
    ASSERT_TRUE(root);
    EXPECT_TRUE(users.claim(**root, {}, {.values = 2}, limits));
  }
}

TEST(Users, ChargesSubordinateUidsToTheirOwner) {
  Users users;
  users.set_owners(Owners({{.first = 100'000, .count = 65'536, .owner = kUser}}));
  const Limits limits{.listeners_per_user = 3, .steps_per_user = 10};
  Users::Account* const one = *users.enter(100'000, limits);
  EXPECT_EQ(one, *users.enter(165'535, limits));
  EXPECT_EQ(one, *users.enter(kUser, limits));
  const auto fourth = users.enter(100'007, limits);
  ASSERT_FALSE(fourth);
  EXPECT_THAT(fourth.error().message(), HasSubstr("uid 1000 has 3 clients"));
  EXPECT_TRUE(users.enter(165'536, limits));
  // After the owners changed, a listener still leaves the account that it entered.
  users.set_owners({});
  EXPECT_NE(one, *users.enter(100'000, limits));
  for (int i = 0; i < 3; ++i) users.leave(*one);
  EXPECT_EQ(users.all().count(kUser), 0u);
}

// There are few roots: no user gets the last of them, and root always gets some.
TEST(Users, DividesTheRootsOfUnderAmongUsers) {
  Users users;
  const Limits limits;
  std::vector<size_t> taken;
  std::vector<Users::Account*> all;
  for (uint32_t uid = 1; uid <= 10; ++uid) {
    all.push_back(*users.enter(uid, limits));
    while (users.claim(*all.back(), {}, {.roots = 1}, limits)) {
    }
    taken.push_back(all.back()->roots);
  }
  EXPECT_EQ(taken.front(), limits.roots_per_user);
  for (const size_t count : taken) EXPECT_GE(count, 1u);
  EXPECT_TRUE(std::ranges::is_sorted(taken, std::greater<>()));
  Users::Account& root = **users.enter(kRoot, limits);
  const size_t of_users = std::accumulate(taken.begin(), taken.end(), size_t{0});
  EXPECT_LE(of_users, limits.roots - limits.roots / 4);
  EXPECT_TRUE(users.claim(root, {}, {.roots = 16}, limits));
}

// Hundreds of root's listeners may name the same process, which the source follows once.
TEST(Users, RootMayNameTheSameProcessRepeatedly) {
  Users users;
  const Limits limits;
  Users::Account& root = **users.enter(kRoot, limits);
  EXPECT_TRUE(users.claim(root, {}, {.roots = limits.roots}, limits));
  EXPECT_TRUE(users.claim(root, {}, {.roots = 1}, limits));
  EXPECT_TRUE(users.claim(**users.enter(kUser, limits), {}, {.roots = 1}, limits));
}

}  // namespace
}  // namespace knell::hub
