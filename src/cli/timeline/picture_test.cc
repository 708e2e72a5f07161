// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "cli/timeline/history_for_test.h"

namespace knell::cli {
namespace {

Picture picture_of(HistoryForTest& test, const MergeRule& rule) {
  const ProcessHistory& history = test.finish();
  const ChildIndex children(history);
  return make_picture(history, children, critical_chain(history, children), rule);
}

// No two bars of a lane overlap, and bars are below their parents.
void check_lanes(const Picture& picture) {
  std::vector<std::vector<const Bar*>> lanes(picture.lanes);
  for (const Bar& bar : picture.bars) {
    ASSERT_LT(bar.lane, picture.lanes);
    lanes[bar.lane].push_back(&bar);
    if (bar.parent != kNoBar) {
      ASSERT_GT(bar.lane, picture.bars[bar.parent].lane);
    }
  }
  for (auto& lane : lanes) {
    std::ranges::sort(lane, {},
                      [](const Bar* bar) { return std::pair(bar->start_ns, bar->end_ns); });
    for (size_t i = 1; i < lane.size(); ++i) ASSERT_LE(lane[i - 1]->end_ns, lane[i]->start_ns);
  }
}

HistoryForTest& build_of(HistoryForTest& test, pid_t jobs, uint64_t each) {
  test.start(1, 0);
  for (pid_t i = 0; i < jobs; ++i) {
    const auto at = static_cast<uint64_t>(i) * each;
    test.fork(1, 10 + 2 * i, at).fork(10 + 2 * i, 11 + 2 * i, at);
    test.exit(11 + 2 * i, at + each, 0).exit(10 + 2 * i, at + each, 0);
  }
  test.exit(1, static_cast<uint64_t>(jobs) * each, 0);
  return test;
}

TEST(Picture, AJobTakesOverTheLanesOfOneThatHasEnded) {
  HistoryForTest test;
  const Picture picture = picture_of(build_of(test, 100, 10), {.most = 1000});
  EXPECT_EQ(picture.bars.size(), 201U);
  EXPECT_EQ(picture.lanes, 3U);
  EXPECT_EQ(picture.span_ns, 1000U);
  EXPECT_EQ(picture.merged, 0U);
  check_lanes(picture);
}

TEST(Picture, ParallelJobsHaveLanesOfTheirOwn) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, 10).fork(1, 3, 20).exit(2, 30, 0).exit(3, 40, 0).exit(1, 50, 0);
  const Picture picture = picture_of(test, {.most = 10});
  EXPECT_EQ(picture.lanes, 3U);
  check_lanes(picture);
}

TEST(Picture, ADaemonKeepsTheLanesOfItsParentUntilItEnds) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, 10).fork(2, 3, 11).exit(2, 20, 0).fork(1, 4, 30).fork(4, 5, 31);
  test.exit(5, 40, 0).exit(4, 40, 0).exit(3, 90, 0).exit(1, 100, 0);
  const Picture picture = picture_of(test, {.most = 10});
  EXPECT_EQ(picture.lanes, 5U);
  check_lanes(picture);
}

TEST(Picture, LanesOfRandomTreesDoNotOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    HistoryForTest test;
    std::vector<pid_t> alive{1};
    test.start(1, 0);
    for (uint64_t at = 1; at < 600; ++at) {
      const size_t one = random() % alive.size();
      if (random() % 2 == 0) {
        const auto child = static_cast<pid_t>(at + 1);
        test.fork(alive[one], child, at);
        alive.push_back(child);
      } else if (one != 0) {
        test.exit(alive[one], at, static_cast<int>(random() % 2));
        alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(one));
      }
    }
    const size_t all = test.history.processes().size();
    check_lanes(picture_of(test, {.most = 1000}));
    const Picture merged = picture_of(test, {.most = 30});
    check_lanes(merged);
    size_t count = 0;
    for (const Bar& bar : merged.bars) count += bar.count;
    EXPECT_EQ(count, all);
  }
}

// Events as a damaged or forged recording may have them.
TEST(Picture, AnyEventsMakeAPicture) {
  std::mt19937 random(11);
  for (int round = 0; round < 50; ++round) {
    HistoryForTest test;
    const auto pid = [&] { return static_cast<pid_t>(random() % 9); };
    for (int i = 0; i < 200; ++i) {
      const uint64_t at = random() % 1000;
      switch (random() % 7) {
        case 0:
          test.exit(pid(), at, static_cast<int>(random() % 3), random() % 3);
          break;
        case 1:
          test.exit_with_parent_id(pid(), pid(), at);
          break;
        case 2:
          test.exit_after(pid(), at, random() % 3000);
          break;
        case 3:
          test.exec(pid(), at, "x", std::string("x"));
          break;
        default:
          test.with_start(random() % 3).fork(pid(), pid(), at);
          break;
      }
    }
    for (const size_t most : {1U, 10U, 1000U}) {
      const Picture picture = picture_of(test, {.most = most});
      check_lanes(picture);
      size_t count = 0;
      for (const Bar& bar : picture.bars) count += bar.count;
      EXPECT_EQ(count, test.history.processes().size());
    }
  }
}

TEST(Picture, ShortProcessesAreMergedAndCounted) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, 1000).exit(2, 900'000, 0);
  for (pid_t i = 0; i < 1000; ++i) {
    const auto at = 910'000 + static_cast<uint64_t>(i);
    test.fork(1, 10 + i, at).exit(10 + i, at + 1, 0);
  }
  test.exit(1, 2'000'000, 0);
  const Picture picture = picture_of(test, {.most = 10'000, .shortest_ns = 100});
  // The last of them is on the chain, and so are those before it.
  EXPECT_EQ(picture.bars.size() + picture.merged, 1002U + (picture.merged != 0 ? 1 : 0));
  check_lanes(picture);
}

TEST(Picture, AMergedBarHasAllBelowItAndItsFailures) {
  HistoryForTest test;
  test.start(1, 0);
  // Side by side, so that only one is on the chain.
  for (pid_t i = 0; i < 50; ++i) test.fork(1, 10 + i, 5).fork(10 + i, 100 + i, 6);
  for (pid_t i = 0; i < 50; ++i) test.exit(100 + i, 7, i < 5 ? 256 : 0).exit(10 + i, 8, 0);
  test.exit(1, 3'000'000, 0);
  const Picture picture = picture_of(test, {.most = 3});
  uint32_t merged = 0, failed = 0;
  for (const Bar& bar : picture.bars) {
    if (!bar.merged()) continue;
    ++merged;
    failed += bar.failed;
    EXPECT_EQ(bar.count, picture.merged);
    EXPECT_EQ(bar.start_ns, 5U);
    EXPECT_EQ(bar.end_ns, 8U);
  }
  EXPECT_EQ(merged, 1U);
  EXPECT_EQ(failed, 5U);
  EXPECT_EQ(picture.bars.size(), 4U);
}

TEST(Picture, FailuresAreNotMergedBeforeOthers) {
  HistoryForTest test;
  test.start(1, 0);
  for (pid_t i = 0; i < 100; ++i) test.fork(1, 10 + i, 1000);
  for (pid_t i = 0; i < 100; ++i)
    test.exit(10 + i, i == 50 ? 1001 : 1002 + static_cast<uint64_t>(i), i == 50 ? 256 : 0);
  test.exit(1, 3'000'000, 0);
  const Picture picture = picture_of(test, {.most = 4});
  EXPECT_TRUE(std::ranges::any_of(picture.bars,
                                  [](const Bar& bar) { return !bar.merged() && bar.failed == 1; }));
}

TEST(Picture, AChainOfManyProcessesTakesNoStack) {
  HistoryForTest test;
  test.start(1, 0);
  constexpr pid_t kDepth = 100'000;
  for (pid_t pid = 1; pid < kDepth; ++pid) test.fork(pid, pid + 1, static_cast<uint64_t>(pid));
  const Picture all = picture_of(test, {.most = 2 * kDepth});
  EXPECT_EQ(all.lanes, static_cast<uint32_t>(kDepth));
  EXPECT_EQ(picture_of(test, {.most = 10}).bars.size() > 1, true);
}

TEST(Picture, OfNothingIsEmpty) {
  HistoryForTest test;
  const Picture picture = picture_of(test, {.most = 10});
  EXPECT_TRUE(picture.bars.empty());
  EXPECT_EQ(picture.lanes, 0U);
}

}  // namespace
}  // namespace knell::cli
