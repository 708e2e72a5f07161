// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/pid_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace knell {
namespace {

TEST(PidMap, FindsWhatWasInserted) {
  PidMap<int> map;
  EXPECT_EQ(map.find(7), nullptr);
  *map.emplace(7).first = 70;
  EXPECT_FALSE(map.emplace(7).second);
  ASSERT_NE(map.find(7), nullptr);
  EXPECT_EQ(*map.find(7), 70);
  EXPECT_EQ(map.find(0), nullptr);
  EXPECT_TRUE(map.erase(7));
  EXPECT_FALSE(map.erase(7));
}

TEST(PidMap, AgreesWithStdMapUnderChurn) {
  std::mt19937 random(1);
  PidMap<uint32_t> map;
  std::map<int32_t, uint32_t> model;
  for (int step = 0; step < 200'000; ++step) {
    const int32_t pid = static_cast<int32_t>(random() % 700) + 1;
    if (random() % 2 == 0) {
      *map.emplace(pid).first = static_cast<uint32_t>(step);
      model[pid] = static_cast<uint32_t>(step);
    } else {
      EXPECT_EQ(map.erase(pid), model.erase(pid) == 1);
    }
    ASSERT_EQ(map.size(), model.size());
  }
  for (const auto& [pid, value] : model) {
    ASSERT_NE(map.find(pid), nullptr);
    EXPECT_EQ(*map.find(pid), value);
  }
}

TEST(PidMap, SweepVisitsEveryEntryAndErases) {
  PidMap<bool> map;
  for (int32_t pid = 1; pid <= 10'000; ++pid) *map.emplace(pid).first = pid % 2 == 0;
  const size_t before = map.bytes();
  for (int i = 0; i < 1000 && map.size() > 5000; ++i)
    map.sweep(100, [](int32_t, bool even) { return even; });
  EXPECT_EQ(map.size(), 5000U);
  map.for_each([](int32_t pid, bool even) { EXPECT_TRUE(pid % 2 == 1 && !even); });
  for (int i = 0; i < 1000; ++i) map.sweep(100, [](int32_t, bool) { return true; });
  EXPECT_TRUE(map.empty());
  EXPECT_LT(map.bytes(), before);
}

}  // namespace
}  // namespace knell
