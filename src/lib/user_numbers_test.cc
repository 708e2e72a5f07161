// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/user_numbers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>

namespace knell::lib {
namespace {

using testing::StartsWith;

TEST(UserNumbers, NamesBecomeNumbers) {
  EXPECT_EQ(*user_number("uid", "root"), 0);
  EXPECT_EQ(*user_number("user", "root"), 0);
  EXPECT_EQ(*user_number("uid", "4294967294"), 4294967294);
  EXPECT_EQ(*user_number("user", "33"), 33);  // no user has this name
}

TEST(UserNumbers, Errors) {
  EXPECT_EQ(user_number("user", "no such user").error().message(),
            "user: 'no such user' is not a user of this machine (a name or a number)");
  EXPECT_EQ(user_number("uid", "4294967295").error().message(),
            "uid: '4294967295' is not a user id (a number from 0 to 4294967294)");
  EXPECT_EQ(user_number("uid", "-1").error().code, EINVAL);
  EXPECT_EQ(user_number("uid", std::string_view("ro\0ot", 5)).error().code, EINVAL);
}

// Names are converted before they reach a listener, so they are checked without one, too.
TEST(UserNumbers, AreResolvedWithoutAListener) {
  EXPECT_EQ(knell_check_match("user", "root,!33"), 0) << knell_explain();
  EXPECT_EQ(knell_check_match("user", "no such user"), -EINVAL);
  EXPECT_THAT(knell_explain(), StartsWith("user: 'no such user' is not a user of this machine"));
  EXPECT_EQ(knell_check_match("uid", "root,"), -EINVAL);
  EXPECT_THAT(knell_explain(), StartsWith("uid: a value is missing"));
}

}  // namespace
}  // namespace knell::lib
