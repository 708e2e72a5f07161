// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace knell::hub {
namespace {

using testing::HasSubstr;

constexpr uint32_t kUser = 1000, kRoot = 0;

TEST(Users, MayHaveSoManyListenersAndRootAllThatThereAre) {
  Users users;
  const Limits limits{.listeners = 5, .listeners_per_user = 2};
  ASSERT_TRUE(users.enter(kUser, limits));
  ASSERT_TRUE(users.enter(kUser, limits));
  const auto third = users.enter(kUser, limits);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, EUSERS);
  EXPECT_THAT(third.error().message(), HasSubstr("limits.clients_per_user"));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(users.enter(kRoot, limits));
  const auto sixth = users.enter(kRoot, limits);
  ASSERT_FALSE(sixth);
  EXPECT_THAT(sixth.error().message(), HasSubstr("limits.clients)"));
  users.leave(kUser);
  EXPECT_TRUE(users.enter(kUser, limits));
}

TEST(Users, WhoIsGoneOrWasNeverLetInIsForgotten) {
  Users users;
  const Limits limits{.listeners_per_user = 0};
  EXPECT_FALSE(users.enter(kUser, limits));
  ASSERT_TRUE(users.enter(kRoot, limits));
  users.leave(kRoot);
  EXPECT_TRUE(users.all().empty());
  EXPECT_EQ(users.listeners(), 0u);
}

TEST(Users, AFilterIsChargedForAndOneThatIsRefusedIsNot) {
  Users users;
  const Limits limits{.values_per_user = 10, .roots_per_user = 2};
  Users::Account& account = **users.enter(kUser, limits);
  ASSERT_TRUE(users.claim(kUser, account, {}, {.values = 8}, limits));
  const auto values = users.claim(kUser, account, {}, {.values = 3}, limits);
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().code, EDQUOT);
  EXPECT_THAT(values.error().message(), HasSubstr("11 filter values, and 10 are the most"));
  EXPECT_EQ(account.values, 8u);
  const auto roots = users.claim(kUser, account, {}, {.values = 1, .roots = 3}, limits);
  ASSERT_FALSE(roots);
  EXPECT_THAT(roots.error().message(), HasSubstr("under"));
  EXPECT_TRUE(users.claim(kUser, account, {.values = 8}, {.values = 10, .roots = 2}, limits));
  EXPECT_TRUE(users.claim(kUser, account, {.values = 10, .roots = 2}, {}, limits));
  EXPECT_EQ(account, (Users::Account{.listeners = 1}));
}

// A person may have many uids, and nobody may have it all.
TEST(Users, ThereIsABoundForAllTogether) {
  Users users;
  const Limits limits{.values_per_user = 10, .values = 15, .added_per_user = 2, .added = 3};
  Users::Account& one = **users.enter(kUser, limits);
  Users::Account& other = **users.enter(kUser + 1, limits);
  ASSERT_TRUE(users.claim(kUser, one, {}, {.values = 10}, limits));
  EXPECT_FALSE(users.claim(kUser + 1, other, {}, {.values = 6}, limits));
  EXPECT_TRUE(users.claim(kUser + 1, other, {}, {.values = 5}, limits));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(users.take_added(kUser, one, limits));
  EXPECT_FALSE(users.take_added(kUser, one, limits));
  EXPECT_TRUE(users.take_added(kUser + 1, other, limits));
  EXPECT_FALSE(users.take_added(kUser + 1, other, limits));
  users.give_added(one, 2);
  EXPECT_TRUE(users.take_added(kUser + 1, other, limits));
}

TEST(Users, ALongAnswerNeedsRoomAndHalfOfAllOfItIsRoots) {
  const Limits limits{.answer_bytes_per_user = 10, .answer_bytes = 100};
  const Users::Account some{.answer_bytes = 8};
  EXPECT_TRUE(Users::room_for_answer(kUser, some, 2, 48, limits));
  EXPECT_EQ(Users::room_for_answer(kUser, some, 3, 8, limits).error().code, EDQUOT);
  EXPECT_EQ(Users::room_for_answer(kUser, some, 2, 49, limits).error().code, ENOBUFS);
  EXPECT_TRUE(Users::room_for_answer(0, some, 50, 50, limits));
  EXPECT_EQ(Users::room_for_answer(0, some, 51, 50, limits).error().code, ENOBUFS);
}

TEST(Users, WhoHasMoreThanALowerLimitMayStillGiveBack) {
  Users users;
  Users::Account& account = **users.enter(kUser, {});
  ASSERT_TRUE(users.claim(kUser, account, {}, {.values = 100}, {}));
  const Limits lower{.values_per_user = 10};
  EXPECT_TRUE(users.claim(kUser, account, {.values = 100}, {.values = 50}, lower));
  EXPECT_FALSE(users.claim(kUser, account, {.values = 50}, {.values = 51}, lower));
}

}  // namespace
}  // namespace knell::hub
