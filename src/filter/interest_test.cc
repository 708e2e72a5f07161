// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/interest.h"

#include <gtest/gtest.h>

#include <vector>

#include "filter/predicate_for_test.h"

namespace knell::filter {
namespace {

constexpr uint32_t kExit = KNELL_EVENT_EXIT, kNonzero = KNELL_EVENT_NONZERO_EXIT;
constexpr uint32_t kNames = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_COMM |
                            KNELL_EVENT_UID | KNELL_EVENT_GID | KNELL_EVENT_SID;

Want want(uint32_t mask, uint32_t details = KNELL_DETAILS_STATUS) {
  Want w;
  w.mask = mask;
  w.details = details;
  return w;
}

Needs needs(const Predicate& predicate) { return Predicates::of({predicate})->needs(); }

TEST(Interest, StatusAddsNothing) {
  for (const uint32_t mask : {kNonzero, kExit, kExit | 2, 0x40000000u, 1u}) {
    EXPECT_EQ(kernel_mask(want(mask)), mask);
    Want raw = want(mask);
    raw.level = KNELL_LEVEL_RAW;
    EXPECT_EQ(kernel_mask(raw), mask);
  }
}

TEST(Interest, NothingMeansAll) {
  EXPECT_EQ(kernel_mask(want(0)), KNELL_EVENT_ALL);
  EXPECT_EQ(kernel_mask(want(0x400)), KNELL_EVENT_ALL);
}

TEST(Interest, NamesNeedBirthsAndChanges) {
  EXPECT_EQ(kernel_mask(want(kNonzero, KNELL_DETAILS_NAMES)), kNonzero | kNames);
  EXPECT_EQ(kernel_mask(want(kNonzero, KNELL_DETAILS_FULL)), kNonzero | kNames);
}

TEST(Interest, APredicateRaisesTheDetails) {
  Want w = want(kNonzero);
  w.needs = needs(wants(Key::kComm, "grep"));
  EXPECT_EQ(details_needed(w), uint32_t{KNELL_DETAILS_NAMES});
  EXPECT_EQ(kernel_mask(w), kNonzero | kNames);
  w.needs = needs(wants(Key::kExe, "/bin/*"));
  EXPECT_EQ(details_needed(w), uint32_t{KNELL_DETAILS_FULL});
  w.details = KNELL_DETAILS_FULL;  // never lowers what was asked
  w.needs = needs(wants(Key::kPid, 1));
  EXPECT_EQ(details_needed(w), uint32_t{KNELL_DETAILS_FULL});
}

TEST(Interest, UnderFollowsForks) {
  Want w = want(kNonzero);
  w.needs = needs(wants(Key::kUnder, 1));
  EXPECT_EQ(kernel_mask(w), kNonzero | KNELL_EVENT_FORK);
}

TEST(Interest, WhatNoPredicateLetsThroughIsNotAskedFor) {
  Want w = want(kExit | KNELL_EVENT_EXEC);
  w.needs = needs(wants(codes(0, 255)));
  EXPECT_EQ(kernel_mask(w), kExit);
  w.needs = needs(wants(codes(7, 7)));
  EXPECT_EQ(kernel_mask(w), kNonzero);
  w.needs = needs(excludes(wants(codes(0, 0))));
  EXPECT_EQ(kernel_mask(w), kNonzero);
  w.needs = needs(wants(Ended{}));
  EXPECT_EQ(kernel_mask(w), kExit);
  w = want(KNELL_EVENT_ALL);
  w.needs = needs(wants(any_signal()));
  EXPECT_EQ(kernel_mask(w), kNonzero);
  // Never 0, which would be everything.
  w = want(KNELL_EVENT_EXEC);
  w.needs = needs(wants(any_signal()));
  EXPECT_EQ(kernel_mask(w), uint32_t{KNELL_EVENT_EXEC});
  w = want(kNonzero);
  w.needs = needs(wants(Key::kLonger, 1'000'000'000));
  EXPECT_EQ(kernel_mask(w), kNonzero | kNames);
}

TEST(Interest, SeveralAreJoined) {
  EXPECT_EQ(kernel_mask(std::vector<Want>{}), 0u);
  EXPECT_EQ(kernel_mask(std::vector{want(kNonzero), want(kExit)}), kNonzero | kExit);
  EXPECT_EQ(kernel_mask(std::vector{want(2), want(kNonzero, KNELL_DETAILS_NAMES)}),
            kNonzero | kNames);
  EXPECT_EQ(kernel_mask(std::vector{want(2), want(0)}), KNELL_EVENT_ALL);
}

}  // namespace
}  // namespace knell::filter
