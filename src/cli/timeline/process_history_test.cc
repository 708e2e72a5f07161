// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/process_history.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "cli/timeline/history_for_test.h"

namespace knell::cli {
namespace {

using End = PastProcess::End;

TEST(ProcessHistory, HasParentLifeAndEnd) {
  HistoryForTest test;
  test.start(10, 100).fork(10, 11, 200).exec(11, 210, "cc", "cc\0-c\0a.c\0").exit(11, 300, 1 << 8);
  test.exit(10, 400, 0);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 2U);
  const PastProcess& make = history.processes()[0];
  const PastProcess& cc = history.processes()[1];
  EXPECT_EQ(make.parent, kNoProcess);
  EXPECT_EQ(make.end, End::kSuccess);
  EXPECT_EQ(cc.parent, 0U);
  EXPECT_EQ(cc.start_ns, 200U);
  EXPECT_EQ(cc.end_ns, 300U);
  EXPECT_EQ(cc.end, End::kFailure);
  EXPECT_EQ(history.text(cc.name), "cc");
  EXPECT_EQ(history.text(cc.ended), "exit 1");
  EXPECT_EQ(history.command(cc), "cc -c a.c");
  EXPECT_EQ(history.begin_ns(), 100U);
  EXPECT_EQ(history.end_ns(), 400U);
  EXPECT_FALSE(history.started_before(cc));
}

TEST(ProcessHistory, AChildThatDoesNotExecHasTheNamesOfItsParent) {
  HistoryForTest test;
  test.start(10, 100).exec(10, 110, "sh", "sh\0-c\0(exit 3)\0").fork(10, 11, 200);
  test.exit(11, 300, 3 << 8);
  const ProcessHistory& history = test.finish();
  EXPECT_EQ(history.command(history.processes()[1]), "sh -c '(exit 3)'");
}

TEST(ProcessHistory, ReusedPidsAreDifferentProcesses) {
  HistoryForTest test;
  test.start(10, 100);
  test.fork(10, 11, 200).exit(11, 300, 0).fork(10, 11, 400).fork(11, 12, 410).exit(11, 500, 9);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 4U);
  EXPECT_EQ(history.processes()[1].end_ns, 300U);
  EXPECT_EQ(history.processes()[2].end_ns, 500U);
  EXPECT_EQ(history.processes()[2].end, End::kSignal);
  EXPECT_EQ(history.processes()[3].parent, 2U);
}

TEST(ProcessHistory, ReusedPidsAreKeptApartByIdAfterALostExit) {
  HistoryForTest test;
  test.start(10, 100);
  test.with_start(20).fork(10, 11, 200).with_start(40).fork(10, 11, 400).exit(11, 500, 0, 40);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 3U);
  EXPECT_EQ(history.processes()[1].end, End::kRunning);
  EXPECT_EQ(history.processes()[2].end, End::kSuccess);
}

TEST(ProcessHistory, AnEventWithAnotherIdIsAboutAnotherProcess) {
  HistoryForTest test;
  test.start(10, 100).with_start(20).fork(10, 11, 200).exit(11, 500, 0, 40);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 3U);
  EXPECT_EQ(history.processes()[1].end, End::kRunning);
}

TEST(ProcessHistory, WithoutIdsAnEventAfterTheExitIsAboutTheNextProcess) {
  HistoryForTest test;
  test.start(10, 100).fork(10, 11, 200).exit(11, 300, 0).exit(11, 500, 256);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 3U);
  EXPECT_EQ(history.processes()[1].end, End::kSuccess);
  EXPECT_EQ(history.processes()[2].end, End::kFailure);
}

TEST(ProcessHistory, AForkThatIsReportedTwiceIsOneProcess) {
  HistoryForTest test;
  test.start(10, 100).with_start(20).fork(10, 11, 200).with_start(20).fork(10, 11, 210);
  EXPECT_EQ(test.finish().processes().size(), 2U);
}

TEST(ProcessHistory, AForkMayComeAfterTheExecOfTheChild) {
  HistoryForTest test;
  test.start(10, 100).exit_with_parent_id(11, 1, 300).with_start(1).fork(10, 11, 200);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 2U);
  EXPECT_EQ(history.processes()[1].start_ns, 200U);
  EXPECT_EQ(history.processes()[1].parent, 0U);
  EXPECT_FALSE(history.started_before(history.processes()[1]));
}

TEST(ProcessHistory, ThreadsAreNoProcesses) {
  HistoryForTest test;
  test.start(10, 100).thread(10, 17, 200);
  EXPECT_EQ(test.finish().processes().size(), 1U);
}

TEST(ProcessHistory, ProcessesThatRanBeforeBeginAtTheBeginning) {
  HistoryForTest test;
  test.history.set_begin(1000);
  test.exit_after(10, 1500, 900);  // started at 600
  test.fork(20, 21, 1600);         // nothing is known of the start of 20
  const ProcessHistory& history = test.finish();
  const PastProcess& first = history.processes()[0];
  EXPECT_EQ(history.shown_start_ns(first), 1000U);
  EXPECT_EQ(first.start_ns, 600U);
  EXPECT_TRUE(history.started_before(first));
  const PastProcess& parent = history.processes()[1];
  EXPECT_EQ(history.shown_start_ns(parent), 1600U);
  EXPECT_TRUE(history.started_before(parent));
  EXPECT_EQ(parent.end, End::kRunning);
  EXPECT_EQ(parent.end_ns, 1600U);
}

TEST(ProcessHistory, BeginsWithTheFirstProcess) {
  HistoryForTest test;
  test.history.set_begin(1000);
  test.exit_after(10, 5000, 900).exit_after(11, 5100, 2000);
  EXPECT_EQ(test.finish().begin_ns(), 3100U);
}

void expect_within_the_history(const ProcessHistory& history) {
  for (const PastProcess& process : history.processes()) {
    EXPECT_LE(history.begin_ns(), history.shown_start_ns(process));
    EXPECT_LE(history.shown_start_ns(process), process.end_ns);
    EXPECT_LE(process.end_ns, history.end_ns());
  }
}

TEST(ProcessHistory, AnEarlierEventAfterALaterOneIsInTheHistory) {
  constexpr uint64_t kSecond = 1'000'000'000;
  HistoryForTest test;
  test.history.set_realtime();
  test.exit_after(10, 100 * kSecond, kSecond).exit_after(11, 50 * kSecond, kSecond);
  const ProcessHistory& history = test.finish();
  EXPECT_EQ(history.begin_ns(), 50 * kSecond);
  EXPECT_EQ(history.end_ns(), 100 * kSecond);
  expect_within_the_history(history);
}

TEST(ProcessHistory, EventsOfALaterBootComeAfterThoseOfTheFirst) {
  HistoryForTest test;
  test.history.set_begin(5000);
  test.exit_in_boot(1, 0, 10, 6000, 500).exit_in_boot(2, 20'000, 10, 1000, 300);
  const ProcessHistory& history = test.finish();
  ASSERT_EQ(history.processes().size(), 2U);
  EXPECT_EQ(history.begin_ns(), 5500U);
  EXPECT_EQ(history.processes()[0].end_ns, 6000U);
  EXPECT_EQ(history.processes()[1].start_ns, 20'700U);
  EXPECT_EQ(history.processes()[1].end_ns, 21'000U);
  EXPECT_EQ(history.end_ns(), 21'000U);
  expect_within_the_history(history);
}

TEST(ProcessHistory, AnExitWithoutStatusIsUnknownAndNoFailure) {
  HistoryForTest test;
  test.start(10, 100).exit_unknown(10, 200);
  const PastProcess& process = test.finish().processes()[0];
  EXPECT_EQ(process.end, End::kUnknown);
  EXPECT_FALSE(process.failed());
}

TEST(ProcessHistory, OutOfMemoryHasItsCause) {
  HistoryForTest test;
  test.start(10, 100).exit_oom(10, 200);
  const ProcessHistory& history = test.finish();
  EXPECT_EQ(history.processes()[0].end, End::kOom);
  EXPECT_EQ(history.text(history.processes()[0].cause), "out of memory");
}

TEST(ProcessHistory, LinksAChildThatExitedBeforeItsParentWasSeen) {
  HistoryForTest test;
  test.exit_with_parent_id(11, 10, 200).exit_with_parent_id(10, 1, 300);
  const ProcessHistory& history = test.finish();
  EXPECT_EQ(history.processes()[0].parent, 1U);
  EXPECT_EQ(history.processes()[1].parent, kNoProcess);
}

TEST(ProcessHistory, BreaksCyclesOfAForgedRecording) {
  HistoryForTest test;
  test.exit_with_parent_id(11, 10, 200).exit_with_parent_id(10, 12, 300);
  test.exit_with_parent_id(12, 11, 400).exit_with_parent_id(13, 13, 400);
  const ProcessHistory& history = test.finish();
  for (uint32_t i = 0; i < history.processes().size(); ++i) {
    size_t depth = 0;
    for (uint32_t at = i; at != kNoProcess; at = history.processes()[at].parent)
      ASSERT_LT(++depth, 5U);
  }
}

TEST(ProcessHistory, CountsLossesAndWhatExceedsTheLimit) {
  HistoryForTest test(2);
  test.start(10, 100).fork(10, 11, 200).fork(10, 12, 300).exit(12, 400, 0).lost(3);
  const ProcessHistory& history = test.finish();
  EXPECT_EQ(history.processes().size(), 2U);
  EXPECT_GT(history.left_out(), 0U);
  EXPECT_EQ(history.losses().count(), 3U);
}

TEST(ChildIndex, HasChildrenInTheOrderOfTheirStarts) {
  HistoryForTest test;
  test.start(10, 100).fork(10, 11, 200).fork(11, 12, 210).fork(10, 13, 220);
  test.exit_after(14, 300, 250);  // started at 50, no parent
  const ChildIndex children(test.finish());
  EXPECT_EQ(std::vector(children.top().begin(), children.top().end()),
            (std::vector<uint32_t>{4, 0}));
  const auto below = children.of(0);
  EXPECT_EQ(std::vector(below.begin(), below.end()), (std::vector<uint32_t>{1, 3}));
  EXPECT_TRUE(children.of(3).empty());
}

}  // namespace
}  // namespace knell::cli
