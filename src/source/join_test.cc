// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/join.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include "event/mask.h"
#include "filter/predicate_for_test.h"
#include "filter/subscription.h"

namespace knell::source {
namespace {

using filter::codes;
using filter::excludes;
using filter::Key;
using filter::wants;

Interest interest(uint32_t mask, uint32_t details = KNELL_DETAILS_FULL,
                  std::vector<filter::Predicate> predicates = {}) {
  filter::Subscription asked;
  asked.mask = mask;
  asked.details = details;
  return filter::interest_of(asked, *filter::Predicates::create(std::move(predicates)));
}

TEST(SourceRequest, FailuresNeedNoOtherEvents) {
  const SourceRequest wanted = request_for(interest(KNELL_EVENT_NONZERO_EXIT));
  EXPECT_EQ(wanted.mask, KNELL_EVENT_NONZERO_EXIT);
  EXPECT_EQ(wanted.details, static_cast<uint32_t>(KNELL_DETAILS_FULL));
  EXPECT_TRUE(wanted.any_pid);
}

TEST(SourceRequest, AddedProcessesNeedAllExits) {
  Interest added = interest(KNELL_EVENT_NONZERO_EXIT, KNELL_DETAILS_STATUS);
  added.only_added = true;
  EXPECT_NE(request_for(added).mask & KNELL_EVENT_EXIT, 0u);
  EXPECT_FALSE(request_for(added).any_pid);
}

TEST(SourceRequest, PassesTestablePredicatesToTheKernel) {
  Interest made = interest(KNELL_EVENT_EXIT, KNELL_DETAILS_FULL,
                           {wants(Key::kUid, 0), wants(Key::kUid, 1000), wants(Key::kUnder, 77)});
  const SourceRequest wanted = request_for(made);
  EXPECT_EQ(wanted.uids, (std::vector<uint32_t>{0, 1000}));
  EXPECT_EQ(wanted.roots, std::vector<filter::Root>{{77}});
  EXPECT_TRUE(wanted.only_under);
  EXPECT_EQ(wanted.mask, static_cast<uint32_t>(KNELL_EVENT_EXIT)) << "no forks for --under";
}

TEST(SourceRequest, TestsExclusionsInUserSpace) {
  Interest made = interest(KNELL_EVENT_EXIT, KNELL_DETAILS_FULL,
                           {excludes(wants(Key::kUid, 0)), excludes(wants(Key::kUnder, 77))});
  const SourceRequest wanted = request_for(made);
  EXPECT_TRUE(wanted.uids.empty());
  EXPECT_FALSE(wanted.only_under);
  EXPECT_EQ(wanted.roots, std::vector<filter::Root>{{77}}) << "needed for the test in user space";
}

TEST(SourceRequest, TestsMoreUsersThanTheKernelCanInUserSpace) {
  Interest made = interest(KNELL_EVENT_EXIT);
  for (uint32_t uid = 0; uid < 4096; ++uid) made.uids.push_back(uid);
  EXPECT_EQ(request_for(made).uids.size(), 4096u);
  made.uids.push_back(4096);
  EXPECT_TRUE(request_for(made).uids.empty());
}

TEST(JoinedInterest, OfNoListenersIsEmpty) {
  EXPECT_TRUE(filter::empty(join({})));
  EXPECT_FALSE(filter::empty(join(std::array{interest(KNELL_EVENT_EXEC)})));
}

TEST(JoinedInterest, JoinIsTheUnion) {
  Interest one = interest(
      KNELL_EVENT_EXEC, KNELL_DETAILS_STATUS,
      {wants(Key::kUid, 7), wants(Key::kUid, 5), wants(Key::kPid, 3), wants(Key::kUnder, 10)});
  Interest other = interest(KNELL_EVENT_NONZERO_EXIT, KNELL_DETAILS_NAMES,
                            {wants(Key::kUid, 5), wants(Key::kUid, 6), wants(Key::kPid, 4),
                             wants(Key::kPid, 3), wants(Key::kUnder, 11), wants(Key::kUnder, 10)});
  one.owners = other.namespaces = true;
  const Interest both = join(std::array{one, other});
  EXPECT_EQ(both.mask, KNELL_EVENT_EXEC | KNELL_EVENT_NONZERO_EXIT);
  EXPECT_EQ(both.details, static_cast<uint32_t>(KNELL_DETAILS_NAMES));
  EXPECT_EQ(both.uids, (std::vector<uint32_t>{5, 6, 7}));
  EXPECT_EQ(both.pids, (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(both.roots, (std::vector<filter::Root>{{10}, {11}}));
  EXPECT_TRUE(both.only_under);
  EXPECT_TRUE(both.owners && both.namespaces);
  EXPECT_FALSE(both.only_added);
}

TEST(JoinedInterest, JoinRequiresNoValueThatOneListenerDoesNotRequire) {
  Interest narrow = interest(KNELL_EVENT_EXEC, KNELL_DETAILS_FULL,
                             {wants(Key::kUid, 5), wants(Key::kPid, 3), wants(Key::kUnder, 10),
                              wants(Key::kCgroup, "/a")});
  const Interest wide = interest(KNELL_EVENT_EXEC);
  for (const auto& both : {join(std::array{narrow, wide}), join(std::array{wide, narrow})}) {
    EXPECT_TRUE(both.uids.empty());
    EXPECT_TRUE(both.pids.empty());
    EXPECT_TRUE(both.cgroups.empty());
    EXPECT_FALSE(both.only_under);
    EXPECT_EQ(both.roots, std::vector<filter::Root>{{10}})
        << "still needed for the test in user space";
  }
}

TEST(JoinedInterest, AddedProcessesDoNotWidenTheJoin) {
  Interest added = interest(KNELL_EVENT_EXIT);
  added.only_added = true;
  Interest named = interest(KNELL_EVENT_EXIT, KNELL_DETAILS_FULL, {wants(Key::kPid, 3)});
  EXPECT_TRUE(join(std::array{added, added}).only_added);
  for (const auto& both : {join(std::array{added, named}), join(std::array{named, added})}) {
    EXPECT_FALSE(both.only_added);
    EXPECT_EQ(both.pids, std::vector<int32_t>{3});
  }
}

TEST(JoinedInterest, APredicateOnExitsLimitsTheMask) {
  Interest failures = interest(KNELL_EVENT_ALL, KNELL_DETAILS_STATUS, {wants(codes(1, 255))});
  EXPECT_EQ(join(std::array{failures}).mask, KNELL_EVENT_NONZERO_EXIT);
}

}  // namespace
}  // namespace knell::source
