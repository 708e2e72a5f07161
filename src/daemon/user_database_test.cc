// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/user_database.h"

#include <gtest/gtest.h>

namespace knell::daemon {
namespace {

TEST(Accounts, ParsesSubordinateUids) {
  int asked = 0;
  const auto find = [&](const std::string& name) -> std::optional<uid_t> {
    ++asked;
    if (name == "ann") return 1000;
    return std::nullopt;
  };
  const auto ranges = parse_subordinate_uids(
      "ann:100000:65536\n"
      "# a comment\n"
      "nobody here:1:2\n"
      "1001:165536:10\n"
      "\n"
      ":1:2\n"
      "ann:x:2\n"
      "ann:5:\n"
      "ann:4294967296:1\n"
      "ann:200000:1",
      find);
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_EQ(ranges[0].first, 100'000u);
  EXPECT_EQ(ranges[0].count, 65'536u);
  EXPECT_EQ(ranges[0].owner, 1000u);
  EXPECT_EQ(ranges[1].owner, 1001u);
  EXPECT_EQ(ranges[2].first, 200'000u);
  EXPECT_EQ(asked, 2) << "each name is looked up once";
}

}  // namespace
}  // namespace knell::daemon
