// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/critical_chain.h"

#include <gtest/gtest.h>

#include "cli/timeline/history_for_test.h"

namespace knell::cli {
namespace {

// The pids on the chain with their own times.
std::vector<std::pair<pid_t, uint64_t>> chain_of(HistoryForTest& test, uint64_t end = 0) {
  const ProcessHistory& history = test.finish(end);
  std::vector<std::pair<pid_t, uint64_t>> out;
  for (const ChainStep& step : critical_chain(history, ChildIndex(history)))
    out.emplace_back(history.processes()[step.process].pid, step.own_ns);
  return out;
}

using Chain = std::vector<std::pair<pid_t, uint64_t>>;

TEST(CriticalChain, FollowsTheChildThatEndedLastBeforeTheNextBegan) {
  HistoryForTest test;
  test.start(1, 0);
  test.fork(1, 2, 10).fork(1, 3, 10);  // side by side: 3 takes longer
  test.exit(2, 40, 0).exit(3, 60, 0);
  test.fork(1, 4, 70).exit(4, 90, 0);  // the linker
  test.exit(1, 100, 0);
  EXPECT_EQ(chain_of(test), (Chain{{1, 30}, {3, 50}, {4, 20}}));
}

TEST(CriticalChain, GoesDownIntoEachProcess) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, 0).fork(2, 3, 5).exit(3, 45, 0).exit(2, 50, 0).exit(1, 50, 0);
  EXPECT_EQ(chain_of(test), (Chain{{1, 0}, {2, 10}, {3, 40}}));
}

TEST(CriticalChain, OwnTimesAddUpToTheWhole) {
  HistoryForTest test;
  test.start(1, 0);
  for (pid_t pid = 2; pid < 40; ++pid) {
    const auto at = static_cast<uint64_t>(pid) * 7;
    test.fork(1, pid, at);
    if (pid > 4) test.exit(pid - 3, at + 3, 0);
  }
  test.exit(1, 1000, 0);
  uint64_t sum = 0;
  for (const auto& [pid, own] : chain_of(test)) sum += own;
  EXPECT_EQ(sum, 1000U);
}

TEST(CriticalChain, LeavesOutDaemonsAndWhatStillRuns) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, 10).fork(1, 3, 20).fork(1, 4, 30);
  test.exit(2, 50, 0).exit(1, 60, 0).exit(3, 90, 0);  // 3 ends after its parent, 4 does not end
  EXPECT_EQ(chain_of(test), (Chain{{1, 20}, {2, 40}}));
}

TEST(CriticalChain, OfAProcessThatStillRunsHasWhatEndedUnderIt) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, 10).fork(1, 3, 20).exit(3, 50, 0);
  EXPECT_EQ(chain_of(test, 60), (Chain{{1, 30}, {3, 30}}));
}

TEST(CriticalChain, BeginsWithTheProcessThatHasTheMostBelowIt) {
  HistoryForTest test;
  test.start(1, 0).start(2, 0).fork(2, 3, 10).fork(3, 4, 10).fork(1, 5, 5);
  for (const pid_t pid : {4, 3, 5}) test.exit(pid, 20, 0);
  EXPECT_EQ(chain_of(test, 30), (Chain{{2, 20}, {3, 0}, {4, 10}}));
}

TEST(CriticalChain, OfNothingIsEmpty) {
  HistoryForTest test;
  EXPECT_TRUE(chain_of(test).empty());
}

}  // namespace
}  // namespace knell::cli
