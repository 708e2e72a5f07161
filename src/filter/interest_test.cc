// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/interest.h"

#include <gtest/gtest.h>

#include <vector>

#include "filter/predicate_for_test.h"
#include "filter/subscription.h"

namespace knell::filter {
namespace {

constexpr uint32_t kExit = KNELL_EVENT_EXIT, kNonzero = KNELL_EVENT_NONZERO_EXIT;

Interest want(uint32_t mask, uint32_t details = KNELL_DETAILS_STATUS,
              std::vector<Predicate> predicates = {}) {
  Subscription asked;
  asked.mask = mask;
  asked.details = details;
  return interest_of(asked, *Predicates::create(std::move(predicates)));
}

uint32_t mask_with(uint32_t mask, Predicate predicate) {
  return shown_mask(want(mask, KNELL_DETAILS_STATUS, {std::move(predicate)}));
}

TEST(Interest, StatusAddsNothing) {
  for (const uint32_t mask : {kNonzero, kExit, kExit | 2, 0x40000000u, 1u}) {
    EXPECT_EQ(shown_mask(want(mask)), mask);
    Interest raw = want(mask);
    raw.level = KNELL_LEVEL_RAW;
    EXPECT_EQ(shown_mask(raw), mask);
  }
}

TEST(Interest, MaskZeroMeansAll) {
  EXPECT_EQ(shown_mask(want(0)), KNELL_EVENT_ALL);
  EXPECT_EQ(shown_mask(want(0x400)), KNELL_EVENT_ALL);
}

TEST(Interest, DetailsAreNotShown) {
  EXPECT_EQ(shown_mask(want(kNonzero, KNELL_DETAILS_NAMES)), kNonzero);
  EXPECT_EQ(shown_mask(want(kNonzero, KNELL_DETAILS_FULL)), kNonzero);
}

TEST(Interest, APredicateRaisesTheDetails) {
  const auto with = [](uint32_t details, Predicate predicate) {
    return want(kNonzero, details, {std::move(predicate)});
  };
  const Interest named = with(KNELL_DETAILS_STATUS, wants(Key::kComm, "grep"));
  EXPECT_EQ(named.details, uint32_t{KNELL_DETAILS_NAMES});
  EXPECT_EQ(shown_mask(named), kNonzero);
  EXPECT_EQ(with(KNELL_DETAILS_STATUS, wants(Key::kExe, "/bin/*")).details,
            uint32_t{KNELL_DETAILS_FULL});
  // Predicates never lower the requested details.
  EXPECT_EQ(with(KNELL_DETAILS_FULL, wants(Key::kPid, 1)).details, uint32_t{KNELL_DETAILS_FULL});
}

TEST(Interest, DatagramsNeedNoDetails) {
  const Subscription datagrams{.stream = Stream::kDatagrams};
  EXPECT_EQ(interest_of(datagrams, {}).details, uint32_t{KNELL_DETAILS_STATUS});
  EXPECT_EQ(interest_of(datagrams, {}).level, uint32_t{KNELL_LEVEL_RAW});
}

TEST(Interest, UnderShowsNoForks) {
  EXPECT_EQ(mask_with(kNonzero, wants(Key::kUnder, 1)), kNonzero);
}

TEST(Interest, TypesThatNoPredicatePassesAreNotRequested) {
  const uint32_t both = kExit | KNELL_EVENT_EXEC;
  EXPECT_EQ(mask_with(both, wants(codes(0, 255))), kExit);
  EXPECT_EQ(mask_with(both, wants(codes(7, 7))), kNonzero);
  EXPECT_EQ(mask_with(both, excludes(wants(codes(0, 0)))), kNonzero);
  EXPECT_EQ(mask_with(both, wants(Ended{})), kExit);
  EXPECT_EQ(mask_with(KNELL_EVENT_ALL, wants(any_signal())), kNonzero);
  // Never 0, which means all types to the kernel.
  EXPECT_EQ(mask_with(KNELL_EVENT_EXEC, wants(any_signal())), uint32_t{KNELL_EVENT_EXEC});
  EXPECT_EQ(mask_with(kNonzero, wants(Key::kLonger, 1'000'000'000)), kNonzero);
}

}  // namespace
}  // namespace knell::filter
