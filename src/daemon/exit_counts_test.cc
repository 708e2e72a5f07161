// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/exit_counts.h"

#include <gtest/gtest.h>

namespace knell::daemon {
namespace {

TEST(ExitCounts, TheMostFrequentComesFirst) {
  ExitCounts counts;
  counts.add({"a.service", "exit 1", {}, {}});
  counts.add({"b.service", "SIGKILL oom", {}, {}});
  counts.add({"b.service", "SIGKILL oom", {}, {}});
  counts.add({"b.service", "exit 0", {}, {}});
  const auto table = counts.table();
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[0].unit, "b.service");
  EXPECT_EQ(table[0].ended, "SIGKILL oom");
  EXPECT_EQ(table[0].count, 2u);
  EXPECT_EQ(counts.nonzero(), 3u);
}

TEST(ExitCounts, IsBoundedAndCountsAllExits) {
  ExitCounts counts;
  constexpr uint64_t kKinds = 5000;
  for (uint64_t i = 0; i < kKinds; ++i) {
    const std::string unit = "u" + std::to_string(i);
    counts.add({unit, "exit 1", {}, {}});
  };
  counts.add({"u0", "exit 1", {}, {}});  // seen before: keeps its own row
  const auto table = counts.table();
  EXPECT_EQ(table.size(), ExitCounts::kMost + 1);
  EXPECT_EQ(table[0].unit, "_other");
  EXPECT_EQ(table[0].ended, "exit 1");
  EXPECT_EQ(table[0].count, kKinds - ExitCounts::kMost);
  EXPECT_EQ(table[1].unit, "u0");
  EXPECT_EQ(table[1].count, 2u);
  EXPECT_EQ(counts.nonzero(), kKinds + 1);
}

TEST(ExitCounts, BoundsNamesAndContainersSeparately) {
  ExitCounts counts;
  for (size_t i = 0; i < 3 * ExitCounts::kMostNames; ++i) {
    const std::string name = "n" + std::to_string(i);
    counts.add({"a.service", "exit 1", name, "c"});
    counts.add({"a.service", "exit 1", "sh", name});
  }
  const auto table = counts.table();
  EXPECT_LE(table.size(), 2 * ExitCounts::kMostNames + 2);
  EXPECT_EQ(table[0].count, 2 * ExitCounts::kMostNames + 1);
  uint64_t sum = 0;
  for (const auto& row : table) {
    EXPECT_EQ(row.unit, "a.service");
    sum += row.count;
  }
  EXPECT_EQ(sum, 6 * ExitCounts::kMostNames);
}

}  // namespace
}  // namespace knell::daemon
