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
  const Quotas quotas{.listeners = 5, .listeners_per_user = 2};
  ASSERT_TRUE(users.enter(kUser, quotas));
  Users::Account& account = **users.enter(kUser, quotas);
  const auto third = users.enter(kUser, quotas);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, EUSERS);
  EXPECT_THAT(third.error().message(), HasSubstr("limits.clients_per_user"));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(users.enter(kRoot, quotas));
  const auto sixth = users.enter(kRoot, quotas);
  ASSERT_FALSE(sixth);
  EXPECT_THAT(sixth.error().message(), HasSubstr("limits.clients)"));
  users.leave(account);
  EXPECT_TRUE(users.enter(kUser, quotas));
}

TEST(Users, ForgetsUsersWithoutListeners) {
  Users users;
  const Quotas quotas{.listeners_per_user = 0};
  EXPECT_FALSE(users.enter(kUser, quotas));
  users.leave(**users.enter(kRoot, quotas));
  EXPECT_TRUE(users.all().empty());
  EXPECT_EQ(users.listeners(), 0u);
}

TEST(Users, ARefusedFilterIsNotCharged) {
  Users users;
  const Quotas quotas{.values_per_user = 10, .roots_per_user = 2};
  Users::Account& account = **users.enter(kUser, quotas);
  ASSERT_TRUE(users.claim(account, {}, {.values = 8}, quotas));
  const auto values = users.claim(account, {}, {.values = 3}, quotas);
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().code, EDQUOT);
  EXPECT_THAT(values.error().message(), HasSubstr("11 filter values; the limit is 10"));
  EXPECT_EQ(account.values, 8u);
  const auto roots = users.claim(account, {}, {.values = 1, .roots = 3}, quotas);
  ASSERT_FALSE(roots);
  EXPECT_THAT(roots.error().message(), HasSubstr("under"));
  EXPECT_TRUE(users.claim(account, {.values = 8}, {.values = 10, .roots = 2}, quotas));
  EXPECT_TRUE(users.claim(account, {.values = 10, .roots = 2}, {}, quotas));
  EXPECT_EQ(account, (Users::Account{.owner = kUser, .listeners = 1}));
}

// One person may have many uids, so quotas per user are not enough.
TEST(Users, LimitsHoldForAllUsersTogether) {
  Users users;
  const Quotas quotas{.values_per_user = 10, .values = 15, .added_per_user = 2, .added = 3};
  Users::Account& one = **users.enter(kUser, quotas);
  Users::Account& other = **users.enter(kUser + 1, quotas);
  ASSERT_TRUE(users.claim(one, {}, {.values = 10}, quotas));
  EXPECT_FALSE(users.claim(other, {}, {.values = 6}, quotas));
  EXPECT_TRUE(users.claim(other, {}, {.values = 5}, quotas));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(users.claim_added(one, quotas));
  EXPECT_FALSE(users.claim_added(one, quotas));
  EXPECT_TRUE(users.claim_added(other, quotas));
  EXPECT_FALSE(users.claim_added(other, quotas));
  users.release_added(one, 2);
  EXPECT_TRUE(users.claim_added(other, quotas));
}

TEST(Users, LimitsUnreadAnswersAndReservesHalfForRoot) {
  const Quotas quotas{.answer_bytes_per_user = 10, .answer_bytes = 100};
  const Users::Account some{.owner = kUser, .answer_bytes = 8}, root{.answer_bytes = 8};
  EXPECT_TRUE(Users::may_queue_answer(some, 2, 48, quotas));
  EXPECT_EQ(Users::may_queue_answer(some, 3, 8, quotas).error().code, EDQUOT);
  EXPECT_EQ(Users::may_queue_answer(some, 2, 49, quotas).error().code, ENOBUFS);
  EXPECT_TRUE(Users::may_queue_answer(root, 50, 50, quotas));
  EXPECT_EQ(Users::may_queue_answer(root, 51, 50, quotas).error().code, ENOBUFS);
}

TEST(Users, AUserAboveALoweredLimitMayReleaseQuota) {
  Users users;
  Users::Account& account = **users.enter(kUser, {});
  ASSERT_TRUE(users.claim(account, {}, {.values = 100}, {}));
  const Quotas lower{.values_per_user = 10};
  EXPECT_TRUE(users.claim(account, {.values = 100}, {.values = 50}, lower));
  EXPECT_FALSE(users.claim(account, {.values = 50}, {.values = 51}, lower));
}

TEST(Users, LimitsTheStepsToJudgeAnEvent) {
  Users users;
  const Quotas quotas{.steps_per_user = 100};
  Users::Account& account = **users.enter(kUser, quotas);
  ASSERT_TRUE(users.claim(account, {}, {.steps = 60}, quotas));
  const auto more = users.claim(account, {}, {.steps = 41}, quotas);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, EDQUOT);
  EXPECT_THAT(more.error().message(), HasSubstr("101 steps"));
  EXPECT_THAT(more.error().message(), HasSubstr("limits.filter_steps_per_user"));
  EXPECT_TRUE(users.claim(account, {.steps = 60}, {.steps = 100}, quotas));
  Users::Account& root = **users.enter(kRoot, quotas);
  EXPECT_TRUE(users.claim(root, {}, {.steps = 1'000'000}, quotas));
}

// Users cannot exhaust a quota for all users: root's share remains.
TEST(Users, ReservesAShareForRoot) {
  Users users;
  const Quotas quotas{.listeners = 64, .listeners_per_user = 4, .values = 160, .added = 32};
  Users::Account* last = nullptr;
  size_t listeners = 0, values = 0, added = 0;
  for (uint32_t uid = 1; uid <= 100; ++uid)
    for (int i = 0; i < 4; ++i) {
      const auto entered = users.enter(uid, quotas);
      if (!entered) continue;
      last = *entered;
      ++listeners;
      if (users.claim(*last, {}, {.values = 1}, quotas)) ++values;
      for (int j = 0; j < 4; ++j) added += users.claim_added(*last, quotas) ? 1 : 0;
    }
  EXPECT_EQ(listeners, 60u);
  EXPECT_EQ(added, 30u);
  while (users.claim(*last, {}, {.values = 1}, quotas)) ++values;
  EXPECT_EQ(values, 150u);
  for (int i = 0; i < 4; ++i) {
    const auto root = users.enter(kRoot, quotas);
    ASSERT_TRUE(root);
    EXPECT_TRUE(users.claim(**root, {}, {.values = 2}, quotas));
  }
}

TEST(Users, ChargesSubordinateUidsToTheirOwner) {
  Users users;
  users.set_subordinate_uids(
      SubordinateUids({{.first = 100'000, .count = 65'536, .owner = kUser}}));
  const Quotas quotas{.listeners_per_user = 3, .steps_per_user = 10};
  Users::Account* const one = *users.enter(100'000, quotas);
  EXPECT_EQ(one, *users.enter(165'535, quotas));
  EXPECT_EQ(one, *users.enter(kUser, quotas));
  const auto fourth = users.enter(100'007, quotas);
  ASSERT_FALSE(fourth);
  EXPECT_THAT(fourth.error().message(), HasSubstr("uid 1000 has 3 clients"));
  EXPECT_TRUE(users.enter(165'536, quotas));
  // After the owners changed, a listener still leaves the account that it entered.
  users.set_subordinate_uids({});
  EXPECT_NE(one, *users.enter(100'000, quotas));
  for (int i = 0; i < 3; ++i) users.leave(*one);
  EXPECT_EQ(users.all().count(kUser), 0u);
}

// There are few roots: no user gets the last of them, and root always gets some.
TEST(Users, DividesTheRootsOfUnderAmongUsers) {
  Users users;
  const Quotas quotas;
  std::vector<size_t> taken;
  std::vector<Users::Account*> all;
  for (uint32_t uid = 1; uid <= 10; ++uid) {
    all.push_back(*users.enter(uid, quotas));
    while (users.claim(*all.back(), {}, {.roots = 1}, quotas)) {
    }
    taken.push_back(all.back()->roots);
  }
  EXPECT_EQ(taken.front(), quotas.roots_per_user);
  for (const size_t count : taken) EXPECT_GE(count, 1u);
  EXPECT_TRUE(std::ranges::is_sorted(taken, std::greater<>()));
  Users::Account& root = **users.enter(kRoot, quotas);
  const size_t of_users = std::accumulate(taken.begin(), taken.end(), size_t{0});
  EXPECT_LE(of_users, quotas.roots - quotas.roots / 4);
  EXPECT_TRUE(users.claim(root, {}, {.roots = 16}, quotas));
}

// Hundreds of root's listeners may name the same process, which the source follows once.
TEST(Users, RootMayNameTheSameProcessRepeatedly) {
  Users users;
  const Quotas quotas;
  Users::Account& root = **users.enter(kRoot, quotas);
  EXPECT_TRUE(users.claim(root, {}, {.roots = quotas.roots}, quotas));
  EXPECT_TRUE(users.claim(root, {}, {.roots = 1}, quotas));
  EXPECT_TRUE(users.claim(**users.enter(kUser, quotas), {}, {.roots = 1}, quotas));
}

}  // namespace
}  // namespace knell::hub
