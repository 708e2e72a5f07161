// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/rule.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace knell::filter {
namespace {

constexpr uint32_t kAll = KNELL_EVENT_ALL;
constexpr uint32_t kExit = KNELL_EVENT_EXIT;
constexpr uint32_t kNonzero = KNELL_EVENT_NONZERO_EXIT;
constexpr uint32_t kSeven = 0x700;

static_assert(normalise(0) == kAll);
static_assert(normalise(0x400) == kAll);
static_assert(normalise(0x401) == 1);
static_assert(normalise(0xffffffff) == kAll);
static_assert(passes(Rule::kReleased, kNonzero, kExit, kSeven));  // usable at compile time

const std::vector<uint32_t> kOthers{KNELL_EVENT_FORK, KNELL_EVENT_EXEC,    KNELL_EVENT_UID,
                                    KNELL_EVENT_GID,  KNELL_EVENT_SID,     KNELL_EVENT_PTRACE,
                                    KNELL_EVENT_COMM, KNELL_EVENT_COREDUMP};

// The rows of the documented table: whether an exit 0 and a non-zero exit pass, under each rule.
struct Row {
  uint32_t mask;
  bool zero, nonzero, v6_zero, v6_nonzero;
};
const std::vector<Row> kTable{
    {kAll, true, true, true, true},
    {0, true, true, true, true},
    {0x400, true, true, true, true},
    {0xffffffff, true, true, true, true},
    {kExit, true, true, true, true},
    {kExit | kNonzero, true, true, false, true},
    {kNonzero, false, true, false, true},
    {kNonzero | 0x400, false, true, false, true},
    {kAll & ~kExit, false, true, false, true},
    {kAll & ~kNonzero, true, true, true, true},
    {kAll & ~kExit & ~kNonzero, false, false, false, false},
    {KNELL_EVENT_EXEC | kNonzero, false, true, false, true},
    {KNELL_EVENT_EXEC | kNonzero | kExit, true, true, false, true},
    {KNELL_EVENT_EXEC, false, false, false, false},
    {KNELL_EVENT_COREDUMP, false, false, false, false},
};

TEST(Rule, ExitsAsInTheTable) {
  for (const Row& row : kTable) {
    EXPECT_EQ(passes(Rule::kReleased, row.mask, kExit, 0), row.zero) << std::hex << row.mask;
    EXPECT_EQ(passes(Rule::kReleased, row.mask, kExit, kSeven), row.nonzero) << row.mask;
    EXPECT_EQ(passes(Rule::kV6, row.mask, kExit, 0), row.v6_zero) << std::hex << row.mask;
    EXPECT_EQ(passes(Rule::kV6, row.mask, kExit, kSeven), row.v6_nonzero) << row.mask;
  }
}

TEST(Rule, OtherTypesPassByTheirBit) {
  for (const Row& row : kTable) {
    const bool everything = (row.mask & kAll) == 0 || (row.mask & kAll) == kAll;
    for (const uint32_t what : kOthers) {
      const bool expected = everything || (row.mask & what) != 0;
      EXPECT_EQ(passes(Rule::kReleased, row.mask, what, 0), expected) << row.mask << what;
      EXPECT_EQ(passes(Rule::kV6, row.mask, what, 0), expected) << row.mask << what;
      // Only exits have a status.
      EXPECT_EQ(passes(Rule::kReleased, row.mask, what, kSeven), expected);
      EXPECT_EQ(passes(Rule::kReleased, row.mask, what, 0, false), expected);
    }
  }
}

TEST(Rule, AcksPassOnlyUnderAll) {
  for (const Row& row : kTable) {
    const bool everything = (row.mask & kAll) == 0 || (row.mask & kAll) == kAll;
    EXPECT_EQ(passes(Rule::kReleased, row.mask, KNELL_EVENT_NONE, 0), everything);
  }
}

TEST(Rule, AnUnknownStatusPassesNonzero) {
  for (const Rule rule : {Rule::kReleased, Rule::kV6}) {
    EXPECT_TRUE(passes(rule, kNonzero, kExit, 0, false));
    EXPECT_TRUE(passes(rule, kNonzero | kExit, kExit, 0, false));
    EXPECT_TRUE(passes(rule, kExit, kExit, 0, false));
    EXPECT_FALSE(passes(rule, KNELL_EVENT_EXEC, kExit, 0, false));
  }
}

TEST(Rule, LostAlwaysPasses) {
  for (const Row& row : kTable) {
    EXPECT_TRUE(passes(Rule::kReleased, row.mask, KNELL_EVENT_LOST, 0));
    EXPECT_TRUE(passes(Rule::kV6, row.mask, KNELL_EVENT_LOST, 0));
  }
}

TEST(Rule, AsReleasedKeepsTheMeaningOfAV6Mask) {
  for (const Row& row : kTable) {
    const uint32_t same = as_released(Rule::kV6, row.mask);
    EXPECT_EQ(passes(Rule::kReleased, same, kExit, 0), row.v6_zero) << std::hex << row.mask;
    EXPECT_EQ(passes(Rule::kReleased, same, kExit, kSeven), row.v6_nonzero) << row.mask;
    for (const uint32_t what : kOthers)
      EXPECT_EQ(passes(Rule::kReleased, same, what, 0), passes(Rule::kV6, row.mask, what, 0));
    EXPECT_EQ(as_released(Rule::kReleased, row.mask), normalise(row.mask));
  }
}

TEST(Rule, JudgesRawAndFullEvents) {
  event::Raw raw;
  raw.what = kExit;
  EXPECT_FALSE(passes(Rule::kReleased, kNonzero, raw));
  raw.u.exit.code = 9;
  EXPECT_TRUE(passes(Rule::kReleased, kNonzero, raw));
  raw.what = KNELL_EVENT_EXEC;
  EXPECT_FALSE(passes(Rule::kReleased, kNonzero, raw));

  knell_event event{};
  event.type = kExit;
  EXPECT_TRUE(passes(Rule::kReleased, kNonzero, event));  // status unknown
  event.has = KNELL_HAS_STATUS;
  EXPECT_FALSE(passes(Rule::kReleased, kNonzero, event));
  event.wait_status = 0x100;
  EXPECT_TRUE(passes(Rule::kReleased, kNonzero, event));
}

// An independent model: a mask stands for a set of kinds of events, where an exit has one of two
// kinds.
enum class Kind { kZeroExit, kFailedExit, kOther };
std::set<std::pair<Kind, uint32_t>> kinds(Rule rule, uint32_t requested) {
  std::set<std::pair<Kind, uint32_t>> wanted;
  std::set<uint32_t> bits;
  for (uint32_t i = 0; i < 32; i++) {
    const uint32_t bit = 1u << i;
    const bool known = bit == 1 || bit == 2 || bit == 4 || bit == 0x40 || bit == 0x80 ||
                       bit == 0x100 || bit == 0x200 || i >= 29;
    if (known && (requested >> i) % 2 == 1) bits.insert(bit);
  }
  const bool everything = bits.empty() || bits.size() == 10;
  if (everything) wanted.emplace(Kind::kOther, 0);
  for (const uint32_t what : kOthers) {
    if (everything || bits.contains(what)) wanted.emplace(Kind::kOther, what);
  }
  const bool exits = everything || bits.contains(kExit);
  const bool failures = everything || bits.contains(kNonzero);
  if (exits || failures) wanted.emplace(Kind::kFailedExit, kExit);
  const bool zero = rule == Rule::kV6 ? everything || (exits && !failures) : exits;
  if (zero) wanted.emplace(Kind::kZeroExit, kExit);
  return wanted;
}

void agrees_with_model(Rule rule, uint32_t mask, uint32_t code) {
  const auto wanted = kinds(rule, mask);
  for (const uint32_t what : kOthers) {
    RC_ASSERT(passes(rule, mask, what, code) == wanted.contains({Kind::kOther, what}));
  }
  RC_ASSERT(passes(rule, mask, 0, code) == wanted.contains({Kind::kOther, 0}));
  const Kind kind = code == 0 ? Kind::kZeroExit : Kind::kFailedExit;
  RC_ASSERT(passes(rule, mask, kExit, code) == wanted.contains({kind, kExit}));
}

// Few of the 32 bits have a meaning, so half of the masks are made of these bits only.
uint32_t any_mask() {
  const auto noise = *rc::gen::arbitrary<uint32_t>();
  const auto hot = *rc::gen::container<std::set<uint32_t>>(rc::gen::elementOf(std::vector<uint32_t>{
      1, 2, 4, 0x40, 0x80, 0x100, 0x200, 0x400, kNonzero, KNELL_EVENT_COREDUMP, kExit}));
  uint32_t mask = *rc::gen::element(0, 1) == 0 ? 0 : noise;
  for (const uint32_t bit : hot) mask ^= bit;
  return mask;
}

RC_GTEST_PROP(RuleProperty, AgreesWithAnIndependentModel, ()) {
  const uint32_t mask = any_mask();
  const uint32_t code = *rc::gen::element<uint32_t>(0, 0x100, 0x700, 9, 0x8b, 0xff00);
  agrees_with_model(Rule::kReleased, mask, code);
  agrees_with_model(Rule::kV6, mask, code);
}

TEST(Rule, EveryMaskOfKnownBitsAgreesWithTheModel) {
  const std::vector<uint32_t> bits{1,     2,     4,        0x40,     0x80, 0x100,
                                   0x200, 0x400, kNonzero, 1u << 30, kExit};
  for (uint32_t chosen = 0; chosen < 1u << bits.size(); chosen++) {
    uint32_t mask = 0;
    for (size_t i = 0; i < bits.size(); i++) mask |= (chosen >> i & 1) != 0 ? bits[i] : 0;
    for (const uint32_t code : {0u, 0x700u}) {
      agrees_with_model(Rule::kReleased, mask, code);
      agrees_with_model(Rule::kV6, mask, code);
    }
  }
}

}  // namespace
}  // namespace knell::filter
