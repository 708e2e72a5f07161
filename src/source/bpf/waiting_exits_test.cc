// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/waiting_exits.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace knell::source {
namespace {

TEST(WaitingExits, TakesOnlyTheSameProcess) {
  WaitingExits waiting;
  waiting.add(7, 100, 1, "details of seven");
  EXPECT_FALSE(waiting.take(7, 101));
  EXPECT_FALSE(waiting.take(8, 100));
  const auto entry = waiting.take(7, 100);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->record, "details of seven");
  EXPECT_EQ(waiting.size(), 0U);
  EXPECT_FALSE(waiting.take(7, 100));
}

TEST(WaitingExits, EvictsTheEntryWithTheSamePid) {
  WaitingExits waiting;
  waiting.add(7, 100, 1, "old");
  EXPECT_FALSE(waiting.has_room(7, 3));
  EXPECT_TRUE(waiting.has_room(8, 3));
  auto old = waiting.make_room(7);
  ASSERT_TRUE(old);
  EXPECT_EQ(old->record, "old");
  waiting.recycle(*std::move(old));
  EXPECT_TRUE(waiting.has_room(7, 3));
}

TEST(WaitingExits, EvictsTheOldestWhenFull) {
  WaitingExits waiting;
  const std::string record(WaitingExits::kMostBytes / 4, 'x');
  for (int32_t pid = 1; pid <= 4; pid++) waiting.add(pid, 100, 1, record);
  EXPECT_FALSE(waiting.has_room(5, 1));
  waiting.recycle(*waiting.take(1, 100));
  EXPECT_TRUE(waiting.has_room(5, 1));
  waiting.add(1, 200, 1, record);
  EXPECT_EQ(waiting.make_room(5)->pid, 2);
  EXPECT_EQ(waiting.make_room(5)->pid, 3);
}

TEST(WaitingExits, KeepCopiesRecordsThatAreStillThere) {
  WaitingExits waiting;
  std::string seven = "details of seven", eight = "details of eight";
  waiting.add(7, 100, 1, seven);
  waiting.add(8, 100, 1, eight);
  waiting.recycle(*waiting.take(8, 100));
  waiting.keep();
  std::string nine = "details of nine";
  waiting.add(9, 100, 1, nine);
  waiting.keep();
  seven.assign(seven.size(), '-');
  eight.assign(eight.size(), '-');
  nine.assign(nine.size(), '-');
  EXPECT_EQ(waiting.take(7, 100)->record, "details of seven");
  EXPECT_EQ(waiting.take(9, 100)->record, "details of nine");
}

TEST(WaitingExits, DoesNotGrowWhenEntriesComeAndGo) {
  WaitingExits waiting;
  for (int32_t i = 0; i < 200000; i++) {
    waiting.add(i % 30000 + 1, static_cast<uint64_t>(i), 1, "some details");
    if (i % 3 == 0) waiting.keep();
    waiting.recycle(*waiting.take(i % 30000 + 1, static_cast<uint64_t>(i)));
  }
  EXPECT_EQ(waiting.size(), 0U);
  EXPECT_TRUE(waiting.has_room(1, 1));
}

TEST(WaitingExits, BecomeOverdueInTheOrderOfTheirStamps) {
  WaitingExits waiting;
  for (int32_t pid = 1; pid <= 4; pid++)
    waiting.add(pid, 100, static_cast<uint64_t>(pid) * 10, "details");
  waiting.recycle(*waiting.take(1, 100));
  EXPECT_EQ(waiting.next_stamp_ns(), 20U);
  EXPECT_EQ(waiting.next_overdue(19), nullptr);
  ASSERT_NE(waiting.next_overdue(30), nullptr);
  EXPECT_EQ(waiting.next_overdue(30)->pid, 3);
  EXPECT_EQ(waiting.next_overdue(30), nullptr);
  EXPECT_EQ(waiting.next_stamp_ns(), 40U);
  waiting.set_overdue(*waiting.find(4));
  EXPECT_EQ(waiting.next_stamp_ns(), 0U);
  EXPECT_EQ(waiting.unwatched(), 3U);
}

TEST(WaitingExits, ReturnsOverdueEntriesInTurnUntilWatched) {
  WaitingExits waiting;
  for (int32_t pid = 1; pid <= 3; pid++) waiting.set_overdue(waiting.add(pid, 100, 1, "details"));
  for (const int32_t pid : {1, 2, 3, 1, 2}) EXPECT_EQ(waiting.next_unwatched()->pid, pid);
  waiting.set_pidfd(*waiting.find(3), UniqueFd(::dup(STDIN_FILENO)));
  waiting.recycle(*waiting.take(1, 100));
  EXPECT_EQ(waiting.next_unwatched()->pid, 2);
  EXPECT_EQ(waiting.next_unwatched()->pid, 2);
  waiting.recycle(*waiting.take(2, 100));
  EXPECT_EQ(waiting.next_unwatched(), nullptr);
  EXPECT_EQ(waiting.watched(), 1U);
  waiting.recycle(*waiting.take(3, 100));
  EXPECT_EQ(waiting.watched(), 0U);
  EXPECT_EQ(waiting.unwatched(), 0U);
}

TEST(ReportedExits, RecognisesAProcessThatWasNoted) {
  ReportedExits reported;
  EXPECT_TRUE(reported.note(7, 100));
  EXPECT_FALSE(reported.note(7, 100));
  EXPECT_TRUE(reported.note(7, 200));
  for (int32_t pid = 8; pid < 100000; pid++) EXPECT_TRUE(reported.note(pid, 1));
}

}  // namespace
}  // namespace knell::source
