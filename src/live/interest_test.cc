// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "live/interest.h"

#include <gtest/gtest.h>

namespace knell::live {
namespace {

Interest interest(uint32_t mask, uint32_t details = KNELL_DETAILS_FULL) {
  Interest made;
  made.want.mask = mask;
  made.want.details = details;
  return made;
}

TEST(Interest, FailuresOverTheConnectorWithAllDetailsFollowEveryLife) {
  const source::Wanted wanted = wanted_of_threads(interest(KNELL_EVENT_NONZERO_EXIT));
  EXPECT_EQ(wanted.mask, KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_COREDUMP | KNELL_EVENT_FORK |
                             KNELL_EVENT_EXEC | KNELL_EVENT_COMM | KNELL_EVENT_UID |
                             KNELL_EVENT_GID);
  EXPECT_FALSE(wanted.forks_of_threads_only);
}

TEST(Interest, FailuresOverBpfAskForNothingElse) {
  const source::Wanted wanted = wanted_of_whole(interest(KNELL_EVENT_NONZERO_EXIT));
  EXPECT_EQ(wanted.mask, KNELL_EVENT_NONZERO_EXIT);
  EXPECT_EQ(wanted.details, static_cast<uint32_t>(KNELL_DETAILS_FULL));
  EXPECT_TRUE(wanted.any_pid);
}

TEST(Interest, AllExitsWithStatusCountThreads) {
  const source::Wanted wanted = wanted_of_threads(interest(KNELL_EVENT_EXIT, KNELL_DETAILS_STATUS));
  EXPECT_EQ(wanted.mask, KNELL_EVENT_EXIT | KNELL_EVENT_COREDUMP | KNELL_EVENT_FORK);
  EXPECT_TRUE(wanted.forks_of_threads_only);
}

TEST(Interest, TheRawLevelIsAskedForAsItIs) {
  Interest raw = interest(KNELL_EVENT_EXIT, KNELL_DETAILS_STATUS);
  raw.want.level = KNELL_LEVEL_RAW;
  EXPECT_EQ(wanted_of_threads(raw).mask, static_cast<uint32_t>(KNELL_EVENT_EXIT));
}

TEST(Interest, AddedProcessesAreHeardOfUntilTheyDie) {
  Interest added = interest(KNELL_EVENT_NONZERO_EXIT, KNELL_DETAILS_STATUS);
  added.only_added = true;
  EXPECT_NE(wanted_of_threads(added).mask & KNELL_EVENT_EXIT, 0u);
  EXPECT_NE(wanted_of_whole(added).mask & KNELL_EVENT_EXIT, 0u);
  EXPECT_FALSE(wanted_of_whole(added).any_pid);
}

TEST(Interest, WhatTheKernelCanTestGoesThere) {
  Interest made = interest(KNELL_EVENT_EXIT);
  filter::Predicates predicates;
  ASSERT_TRUE(predicates.add("uid", "0,1000"));
  ASSERT_TRUE(predicates.add("under", "77"));
  made.want.needs = predicates.needs();
  const source::Wanted wanted = wanted_of_whole(made);
  EXPECT_EQ(wanted.uids, (std::vector<uint32_t>{0, 1000}));
  EXPECT_EQ(wanted.roots, std::vector<int32_t>{77});
  EXPECT_TRUE(wanted.only_under);
  EXPECT_EQ(wanted.mask, static_cast<uint32_t>(KNELL_EVENT_EXIT)) << "no forks for --under";
}

TEST(Interest, ExclusionsAreTestedAbove) {
  Interest made = interest(KNELL_EVENT_EXIT);
  filter::Predicates predicates;
  ASSERT_TRUE(predicates.add("uid", "!0"));
  ASSERT_TRUE(predicates.add("under", "!77"));
  made.want.needs = predicates.needs();
  const source::Wanted wanted = wanted_of_whole(made);
  EXPECT_TRUE(wanted.uids.empty());
  EXPECT_FALSE(wanted.only_under);
  EXPECT_EQ(wanted.roots, std::vector<int32_t>{77}) << "to be told apart";
}

}  // namespace
}  // namespace knell::live
