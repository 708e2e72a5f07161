// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/subordinate_uids.h"

#include <gtest/gtest.h>

namespace knell::hub {
namespace {

TEST(SubordinateUids, AUidOutsideAllRangesIsItsOwnOwner) {
  const SubordinateUids none, some({{.first = 100'000, .count = 65'536, .owner = 1000}});
  for (const uint32_t uid : {0u, 1000u, 99'999u, 165'536u, 4'294'967'294u}) {
    EXPECT_EQ(none.owner_of(uid), uid);
    EXPECT_EQ(some.owner_of(uid), uid);
  }
  EXPECT_EQ(some.owner_of(100'000), 1000u);
  EXPECT_EQ(some.owner_of(165'535), 1000u);
}

TEST(SubordinateUids, TheFirstOfTwoOverlappingRangesWins) {
  const SubordinateUids owners({{.first = 200, .count = 100, .owner = 1},
                                {.first = 400, .count = 100, .owner = 2},
                                {.first = 100, .count = 500, .owner = 3},
                                {.first = 50, .count = 100, .owner = 4}});
  EXPECT_EQ(owners.owner_of(49), 49u);
  EXPECT_EQ(owners.owner_of(99), 4u);
  EXPECT_EQ(owners.owner_of(100), 3u);
  EXPECT_EQ(owners.owner_of(199), 3u);
  EXPECT_EQ(owners.owner_of(200), 1u);
  EXPECT_EQ(owners.owner_of(300), 3u);
  EXPECT_EQ(owners.owner_of(450), 2u);
  EXPECT_EQ(owners.owner_of(599), 3u);
  EXPECT_EQ(owners.owner_of(600), 600u);
}

// Subordinate uids of root have quotas of their own, and no range makes uid 0 belong to a user.
TEST(SubordinateUids, RangesNeitherGrantNorTakeUidZero) {
  const SubordinateUids owners({{.first = 100'000, .count = 10, .owner = 0},
                                {.first = 0, .count = 0xffff'ffff, .owner = 1000}});
  EXPECT_EQ(owners.owner_of(0), 0u);
  EXPECT_EQ(owners.owner_of(100'001), 1000u);
  EXPECT_EQ(SubordinateUids({{.first = 100'000, .count = 10, .owner = 0}}).owner_of(100'001),
            100'001u);
  EXPECT_EQ(owners.owner_of(0xffff'fffe), 1000u);
}

}  // namespace
}  // namespace knell::hub
