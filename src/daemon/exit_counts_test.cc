// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/exit_counts.h"

#include <gtest/gtest.h>

namespace knell::daemon {
namespace {

TEST(ExitCounts, TheMostFrequentComesFirst) {
  ExitCounts counts;
  counts.add("a.service", "exit 1");
  counts.add("b.service", "SIGKILL oom");
  counts.add("b.service", "SIGKILL oom");
  counts.add("b.service", "exit 0");
  const auto table = counts.table();
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[0].unit, "b.service");
  EXPECT_EQ(table[0].ended, "SIGKILL oom");
  EXPECT_EQ(table[0].count, 2u);
  EXPECT_EQ(counts.nonzero(), 3u);
}

TEST(ExitCounts, ManyKindsStayWithinTheBoundAndNothingIsForgotten) {
  ExitCounts counts;
  constexpr uint64_t kKinds = 5000;
  for (uint64_t i = 0; i < kKinds; ++i) counts.add("u" + std::to_string(i), "exit 1");
  counts.add("u0", "exit 1");  // known: still told apart
  const auto table = counts.table();
  EXPECT_EQ(table.size(), ExitCounts::kMost);
  EXPECT_EQ(table[0].unit, "other");
  EXPECT_EQ(table[0].count, kKinds - (ExitCounts::kMost - 1));
  EXPECT_EQ(table[1].unit, "u0");
  EXPECT_EQ(table[1].count, 2u);
  EXPECT_EQ(counts.nonzero(), kKinds + 1);
}

}  // namespace
}  // namespace knell::daemon
