// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/predicate.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "filter/predicate_for_test.h"
#include "filter/predicates.h"

namespace knell::filter {
namespace {

// A few examples; src/wire/protocol_test.cc has the kind and the bounds of each key.
TEST(Predicate, ValuesOutOfBoundsAreRefusedBeforeTheyAreCompiled) {
  for (const Predicate& wrong :
       {wants(Key::kPid, 0), wants(Key::kPid, "1"), wants(Key::kUid, -1), wants(Key::kComm, ""),
        wants(codes(0, 256)), wants(static_cast<Key>(99), 1)}) {
    EXPECT_FALSE(check(wrong));
    const auto compiled = Predicates::create({wants(Key::kComm, "a"), wrong});
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error().code, EINVAL);
    EXPECT_TRUE(compiled.error().sentence);
  }
}

TEST(Predicate, NamesAreUnique) {
  std::set<std::string_view> names;
  for (uint32_t key = 1; key <= static_cast<uint32_t>(Key::kShorter); ++key)
    names.insert(name_of(static_cast<Key>(key)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Key::kShorter));
  EXPECT_FALSE(names.contains(""));
  EXPECT_EQ(name_of(Key{}), "");
}

TEST(Predicate, EqualSetsCompareEqualInAnyOrder) {
  const Predicate cron = wants(Key::kUnit, "cron"), one = wants(Key::kPid, 1),
                  seven = wants(Key::kPid, 7), no_seven = excludes(seven);
  EXPECT_EQ(Predicates::create({no_seven, seven, cron, one, seven})->values(),
            (std::vector{one, seven, no_seven, cron}));
}

TEST(Predicate, TextOfPredicatesIsReadableAndBounded) {
  const std::vector<Predicate> all{wants(Key::kPid, 7), excludes(wants(Key::kPid, 9)),
                                   wants(Key::kCgroup, ""), wants(codes(2, 255)),
                                   wants(Key::kLonger, 90'000'000'000)};
  EXPECT_EQ(text_of(all, 1000), "pid=7,!9 cgroup=/ ended=2-255 longer=90s");
  EXPECT_EQ(text_of(all, 6), "pid=7,!9");
  EXPECT_EQ(text_of({}, 6), "");
  EXPECT_EQ(text_of(std::vector{wants(Key::kExe, std::string(4096, 'x'))}, 10).size(), 14u);
}

}  // namespace
}  // namespace knell::filter
