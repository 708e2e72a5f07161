// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/task_ids.h"

#include <gtest/gtest.h>

#include <vector>

#include "process/fake_proc.h"

namespace knell::process {
namespace {

using Numbers = std::vector<event::NamespacePid>;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint32_t kAll = KNELL_EVENT_FORK | KNELL_EVENT_UID;

event::Raw raw_of(uint32_t what, int32_t pid, int32_t tid, uint64_t stamp_ns) {
  event::Raw raw;
  raw.what = what;
  raw.pid = pid;
  raw.tid = tid;
  raw.stamp_ns = stamp_ns;
  return raw;
}

class TaskIdsTest : public ::testing::Test {
 protected:
  TaskIdsTest() { clock.now_ns = 100 * kSecond; }

  // Starts are in ticks of 10 ms.
  void begin(uint32_t reported_types, bool levels = true) {
    identities.want_levels(levels);
    identities.set_reported_types(reported_types);
    identities.read_all(clock.now_ns);
  }
  void fork(int32_t parent, int32_t child, uint64_t stamp_ns) {
    thread(parent, child, child, stamp_ns);
  }
  void thread(int32_t parent, int32_t pid, int32_t tid, uint64_t stamp_ns) {
    event::Raw raw = raw_of(KNELL_EVENT_FORK, pid, tid, stamp_ns);
    raw.u.fork = {parent, parent};
    identities.on_raw(raw);
  }
  void change_uid(int32_t pid, int32_t tid, uint32_t uid, uint64_t stamp_ns) {
    event::Raw raw = raw_of(KNELL_EVENT_UID, pid, tid, stamp_ns);
    raw.u.id = {uid, 0};
    identities.on_raw(raw);
  }
  void exit(int32_t pid, uint64_t stamp_ns) {
    identities.on_raw(raw_of(KNELL_EVENT_EXIT, pid, pid, stamp_ns));
  }
  void something(int32_t pid, uint64_t stamp_ns) {
    identities.on_raw(raw_of(KNELL_EVENT_EXEC, pid, pid, stamp_ns));
  }
  void lost(uint32_t types, uint64_t stamp_ns) {
    event::Raw raw = raw_of(KNELL_EVENT_LOST, 0, 0, stamp_ns);
    raw.u.lost.types = types;
    identities.on_raw(raw);
  }
  void birth(int32_t child, uint64_t stamp_ns, uint32_t uid,
             std::vector<event::NamespacePids> levels) {
    identities.on_birth({.pid = child,
                         .tid = child,
                         .start = stamp_ns / Timebase::kTickNs,
                         .uid = uid,
                         .stamp_ns = stamp_ns,
                         .levels = levels,
                         .levels_known = true});
  }
  // As text, so that a failure is readable.
  std::string numbers(int32_t tid, uint64_t stamp_ns = 0) {
    const auto found = identities.numbers_of(tid, stamp_ns);
    if (!found.known) return "unknown";
    std::string text;
    for (const event::NamespacePid& number : found.of)
      text += std::to_string(number.ns) + ":" + std::to_string(number.nr) + " ";
    return text;
  }

  FakeProc tree;
  ProcReader proc = tree.reader();
  FakeClock clock;
  TaskIds identities{proc, clock, TaskIds::kMost, fake_namespaces_from};
};

TEST_F(TaskIdsTest, ReadsExistingProcesses) {
  tree.add(10, {.start = 5, .uid = 1000});
  tree.add(11, {.start = 6, .uid = 0, .numbers = {{70, 5}, {71, 1}}});
  begin(kAll);
  tree.remove(10);
  tree.remove(11);
  something(10, 101 * kSecond);
  EXPECT_EQ(identities.uid_of(10), 1000U);
  EXPECT_EQ(numbers(10), "");
  EXPECT_EQ(identities.uid_of(11), 0U);
  EXPECT_EQ(numbers(11), "70:5 71:1 ");
  EXPECT_EQ(identities.uid_of(12), std::nullopt);
  EXPECT_EQ(numbers(12), "unknown");
}

TEST_F(TaskIdsTest, AChildInheritsTheUidUntilItChanges) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll, false);
  fork(10, 20, 101 * kSecond);
  fork(20, 30, 102 * kSecond);
  change_uid(20, 20, 7, 103 * kSecond);
  change_uid(30, 31, 8, 103 * kSecond);  // of one thread only
  fork(20, 40, 104 * kSecond);
  EXPECT_EQ(identities.uid_of(20), 7U);
  EXPECT_EQ(identities.uid_of(30), 1000U);
  EXPECT_EQ(identities.uid_of(40), 7U);
}

TEST_F(TaskIdsTest, ABirthReplacesTheEntryOfItsNumber) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  tree.add(11, {.start = 5, .uid = 33});
  begin(kAll);
  tree.remove(10);
  fork(11, 10, 101 * kSecond);
  EXPECT_EQ(identities.uid_of(10), 33U);
  EXPECT_EQ(numbers(10), "unknown") << "it was gone before /proc was read";
}

// The kernel may be preempted between taking the start and reporting the birth.
TEST_F(TaskIdsTest, AcceptsAStartSomewhatBeforeTheForkEvent) {
  tree.add(10, {.start = 5});
  begin(kAll);
  tree.add(20, {.ppid = 10, .start = 10'050, .numbers = {{70, 1}}});
  fork(10, 20, 101 * kSecond);
  tree.remove(20);
  EXPECT_EQ(numbers(20), "70:1 ");
  tree.add(21, {.ppid = 10, .start = 10'102, .numbers = {{70, 2}}});
  fork(10, 21, 101 * kSecond);
  EXPECT_EQ(numbers(21), "unknown") << "/proc shows a later process";
}

TEST_F(TaskIdsTest, ReadsTheLevelsOfAChildAtItsBirth) {
  tree.add(10, {.start = 5});
  begin(kAll);
  tree.add(20, {.ppid = 10, .start = 10'100, .numbers = {{70, 1}}});
  fork(10, 20, 101 * kSecond);
  tree.add(30, {.ppid = 10, .start = 10'100});
  fork(10, 30, 101 * kSecond);
  tree.remove(20);
  tree.remove(30);
  exit(20, 102 * kSecond);
  EXPECT_EQ(numbers(20), "70:1 ");
  EXPECT_EQ(numbers(30), "");
}

TEST_F(TaskIdsTest, AThreadHasItsOwnNumbers) {
  tree.add(10, {.start = 5, .numbers = {{70, 1}}});
  begin(kAll);
  tree.add(21, {.start = 10'100, .numbers = {{70, 2}}});
  thread(1, 10, 21, 101 * kSecond);
  tree.remove(21);
  EXPECT_EQ(numbers(21), "70:2 ");
  EXPECT_EQ(numbers(10), "70:1 ");
}

TEST_F(TaskIdsTest, ReadsAnUnknownTaskAtTheFirstQuery) {
  begin(kAll);
  for (int tid = 10; tid < 14; ++tid) tree.add(tid, {.start = 5, .numbers = {{70, tid - 9}}});
  something(10, 101 * kSecond);
  for (int tid = 10; tid < 14; ++tid) identities.numbers_of(tid);
  for (int tid = 10; tid < 14; ++tid) {
    EXPECT_EQ(numbers(tid), "70:" + std::to_string(tid - 9) + " ");
    tree.remove(tid);
    EXPECT_EQ(numbers(tid), "70:" + std::to_string(tid - 9) + " ") << "stored";
  }
}

TEST_F(TaskIdsTest, ALaterProcessDoesNotAnswerForAnEarlierEvent) {
  begin(kAll);
  tree.add(20, {.start = 10'500, .uid = 1000, .numbers = {{70, 1}}});  // born at 105 s
  exit(20, 101 * kSecond);  // the exit is of an older process
  EXPECT_EQ(identities.uid_of(20), std::nullopt);
  EXPECT_EQ(numbers(20), "unknown");
  something(20, 106 * kSecond);
  EXPECT_EQ(identities.uid_of(20), 1000U);
  EXPECT_EQ(numbers(20), "70:1 ");
  exit(20, 101 * kSecond);
  EXPECT_EQ(identities.uid_of(20), std::nullopt) << "stored, but of a later process";
}

TEST_F(TaskIdsTest, ChecksEntriesAgainstProcWithoutBirths) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  begin(0);
  tree.remove(10);
  tree.add(10, {.start = 10'050, .uid = 33});  // its birth is not reported
  something(10, 101 * kSecond);
  EXPECT_EQ(identities.uid_of(10), 33U);
  EXPECT_EQ(numbers(10), "");
  tree.remove(10);
  EXPECT_EQ(identities.uid_of(10), std::nullopt);
  EXPECT_EQ(numbers(10), "unknown");
}

// A source that reports births inside namespaces, and all ends.
TEST_F(TaskIdsTest, AnEntryIsValidUntilItsEnd) {
  begin(KNELL_EVENT_EXIT | KNELL_EVENT_UID);
  birth(20, 101 * kSecond, 1000, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  something(20, 102 * kSecond);  // the process is gone when this is read
  EXPECT_EQ(numbers(20), "70:9 ");
  EXPECT_EQ(identities.uid_of(20), 1000U);
  exit(20, 103 * kSecond);
  EXPECT_EQ(numbers(20), "70:9 ") << "the end itself";
  something(20, 104 * kSecond);  // of another process, whose birth is not reported
  EXPECT_EQ(numbers(20), "unknown");
  EXPECT_EQ(identities.uid_of(20), std::nullopt);
}

TEST_F(TaskIdsTest, LostEndsDropEntriesWhenOnlyEndsAreReceived) {
  begin(KNELL_EVENT_EXIT | KNELL_EVENT_UID);
  birth(20, 101 * kSecond, 1000, {});
  lost(KNELL_EVENT_EXIT, 102 * kSecond);
  EXPECT_EQ(identities.uid_of(20), std::nullopt);
}

TEST_F(TaskIdsTest, DoesNotRelyOnTheEndsOfThreads) {
  tree.add(21, {.start = 5, .process = 20, .numbers = {{70, 10}}});
  begin(KNELL_EVENT_EXIT | KNELL_EVENT_UID);
  something(20, 101 * kSecond);
  EXPECT_EQ(numbers(21), "70:10 ");
  tree.remove(21);
  EXPECT_EQ(numbers(21), "unknown");
}

TEST_F(TaskIdsTest, ReadsTheUidAtEachQueryWithoutUidEvents) {
  tree.add(10, {.start = 5, .uid = 0});
  begin(KNELL_EVENT_FORK);
  tree.add(10, {.start = 5, .uid = 33});
  something(10, 101 * kSecond);
  EXPECT_EQ(identities.uid_of(10), 33U);
  tree.remove(10);
  EXPECT_EQ(identities.uid_of(10), std::nullopt);
}

TEST_F(TaskIdsTest, AStoredUidIsPreferredToANewerOneInProc) {
  tree.add(10, {.start = 5, .uid = 0});
  begin(kAll, false);
  tree.add(10, {.start = 5, .uid = 1000});  // its UID event is still queued
  identities.want_levels(true);             // so that /proc is read again
  something(10, 101 * kSecond);
  EXPECT_EQ(numbers(10), "");
  EXPECT_EQ(identities.uid_of(10), 0U);
}

TEST_F(TaskIdsTest, ALossDropsAllEntries) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  begin(kAll);
  tree.remove(10);
  clock.now_ns = 103 * kSecond;
  lost(0, 102 * kSecond);
  exit(10, 102 * kSecond);
  EXPECT_EQ(identities.uid_of(10), std::nullopt);
  EXPECT_EQ(numbers(10), "unknown");
  tree.add(11, {.start = 5, .uid = 33});
  fork(11, 20, 102 * kSecond);  // queued before the loss: the parent's number may be in use again
  EXPECT_EQ(identities.uid_of(20), std::nullopt);
  tree.add(30, {.start = 10'400, .uid = 7});
  fork(10, 30, 104 * kSecond);
  EXPECT_EQ(identities.uid_of(30), 7U);
}

TEST_F(TaskIdsTest, ALossOfExitsKeepsEntriesWhenBirthsAreReceived) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll);
  tree.remove(10);
  lost(KNELL_EVENT_EXIT, 102 * kSecond);
  EXPECT_EQ(identities.uid_of(10), 1000U);
  identities.on_births_lost();
  EXPECT_EQ(identities.uid_of(10), std::nullopt);
}

TEST_F(TaskIdsTest, KeepsTheLevelsThatASourceReported) {
  begin(kAll);
  birth(20, 101 * kSecond, 1000, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(1, 20, 101 * kSecond + 1000);  // the same birth, reported by the connector
  EXPECT_EQ(identities.uid_of(20), 1000U);
  EXPECT_EQ(numbers(20), "70:9 ");
  birth(20, 105 * kSecond, 33, {});
  EXPECT_EQ(numbers(20, 105 * kSecond), "");
}

// A source that reports every birth inside a namespace shows that the other births are outside.
TEST_F(TaskIdsTest, ABirthThatIsNotReportedIsInTheInitialNamespace) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll);
  fork(10, 20, 101 * kSecond);
  exit(20, 101 * kSecond + 1000);
  EXPECT_EQ(numbers(20), "unknown") << "it ended before /proc was read";
  identities.settle_initial_namespace(20, 101 * kSecond + 1000);
  EXPECT_EQ(numbers(20), "");
  identities.settle_initial_namespace(21, 102 * kSecond);
  EXPECT_EQ(numbers(21), "unknown") << "its birth was not reported at all";

  birth(20, 103 * kSecond, 33, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(10, 20, 103 * kSecond + 1000);
  identities.settle_initial_namespace(20, 103 * kSecond + 1000);
  EXPECT_EQ(numbers(20), "70:9 ");

  identities.on_births_lost();
  fork(10, 22, 104 * kSecond);
  identities.settle_initial_namespace(22, 104 * kSecond);
  EXPECT_EQ(numbers(22), "") << "born after the loss";
}

TEST_F(TaskIdsTest, DoesNotSettleATaskBornBeforeALoss) {
  begin(kAll);
  clock.now_ns = 105 * kSecond;
  identities.on_births_lost();
  fork(10, 20, 104 * kSecond);
  identities.settle_initial_namespace(20, 104 * kSecond);
  EXPECT_EQ(numbers(20), "unknown");
}

// One source is behind the other: the number was given to a process inside a namespace in between,
// and the entry of its birth is replaced.
TEST_F(TaskIdsTest, DoesNotSettleANumberReusedInsideANamespace) {
  begin(kAll);
  birth(20, 103 * kSecond, 33, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(10, 20, 101 * kSecond);
  fork(10, 20, 103 * kSecond + 1000);
  exit(20, 103 * kSecond + 2000);
  identities.settle_initial_namespace(20, 103 * kSecond + 2000);
  EXPECT_EQ(numbers(20), "unknown");
}

// An exit that is decided after its pid is in use again.
TEST_F(TaskIdsTest, ALaterProcessDoesNotAnswerForAnEarlierStamp) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll, false);
  fork(10, 20, 101 * kSecond);
  exit(20, 102 * kSecond);
  fork(10, 20, 103 * kSecond);
  EXPECT_EQ(identities.uid_of(20), 1000U);
  EXPECT_EQ(identities.uid_of(20, 103 * kSecond), 1000U);
  EXPECT_EQ(identities.uid_of(20, 102 * kSecond), std::nullopt);
}

TEST_F(TaskIdsTest, AddingEventTypesDropsAllEntries) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(0);
  tree.remove(10);
  identities.set_reported_types(kAll);
  something(10, 101 * kSecond);
  EXPECT_EQ(identities.uid_of(10), std::nullopt);
}

TEST_F(TaskIdsTest, SweepReadsProcAgainAfterALoss) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll);
  lost(0, 100 * kSecond);
  clock.now_ns = 102 * kSecond;
  identities.sweep(0, clock.now_ns, [](int32_t) { return false; });
  ScanBudget all;
  EXPECT_TRUE(identities.scan_some(all));
  tree.remove(10);
  exit(10, 103 * kSecond);
  EXPECT_EQ(identities.uid_of(10), 1000U);
}

TEST_F(TaskIdsTest, ScansInPieces) {
  for (int32_t pid = 10; pid < 15; ++pid) tree.add(pid, {.start = 5, .uid = 1000});
  identities.set_reported_types(kAll);
  identities.begin_scan(clock.now_ns);
  fork(1, 12, 100 * kSecond);  // an event during the scan is kept
  int pieces = 1;
  for (;; ++pieces) {
    ScanBudget one{.left = 1};
    if (identities.scan_some(one)) break;
  }
  EXPECT_EQ(pieces, 6);
  EXPECT_EQ(identities.size(), 5U);
  for (int32_t pid = 10; pid < 15; ++pid) tree.remove(pid);
  EXPECT_EQ(identities.uid_of(14, 101 * kSecond), 1000U);
}

TEST_F(TaskIdsTest, ATaskInTooManyNamespacesIsUnknown) {
  Numbers deep;
  for (uint32_t i = 0; i <= event::kMostLevels; ++i) deep.push_back({70 + i, 1});
  tree.add(10, {.start = 5, .numbers = deep});
  deep.pop_back();
  tree.add(11, {.start = 5, .numbers = deep});
  begin(kAll);
  EXPECT_EQ(numbers(10), "unknown");
  EXPECT_EQ(numbers(11), "70:1 71:1 72:1 73:1 74:1 75:1 76:1 77:1 ");
}

TEST_F(TaskIdsTest, LevelsAreReadOnlyWhileWanted) {
  tree.add(10, {.start = 5, .numbers = {{70, 4}}});
  begin(kAll, false);
  EXPECT_EQ(numbers(10), "unknown");
  thread(1, 10, 11, 101 * kSecond);
  EXPECT_EQ(identities.size(), 1U) << "threads are stored for their levels only";
  begin(kAll, true);
  EXPECT_EQ(numbers(10), "70:4 ");
  identities.want_levels(false);
  EXPECT_EQ(numbers(10), "unknown");
}

TEST_F(TaskIdsTest, ErasesEndedTasksAfterADelay) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll, false);
  fork(10, 20, 101 * kSecond);
  exit(20, 101 * kSecond);
  const auto gone = [](int32_t pid) { return pid != 10; };
  identities.sweep(0, 101 * kSecond + 1000, gone);
  EXPECT_EQ(identities.uid_of(20), 1000U) << "its exit is still to be decided";
  identities.sweep(0, 102 * kSecond, gone);
  EXPECT_EQ(identities.size(), 1U);
}

TEST_F(TaskIdsTest, KeepsALeaderWhoseProcessIsAlive) {
  tree.add(10, {.start = 5, .uid = 1000});
  begin(kAll, false);
  exit(10, 101 * kSecond);
  identities.sweep(10, 103 * kSecond, [](int32_t) { return false; });
  EXPECT_EQ(identities.uid_of(10), 1000U);
}

TEST_F(TaskIdsTest, SweepsTasksWhoseEndIsNotReported) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  begin(kAll);
  const auto gone = [](int32_t) { return true; };
  identities.sweep(10, 101 * kSecond, gone);
  EXPECT_EQ(identities.size(), 1U);
  identities.sweep(10, 103 * kSecond, gone);
  EXPECT_EQ(identities.size(), 0U);
}

TEST_F(TaskIdsTest, ReadsProcAtEachQueryBeyondTheLimit) {
  TaskIds few(proc, clock, 1, fake_namespaces_from);
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  tree.add(11, {.start = 6, .uid = 1001, .numbers = {{70, 5}}});
  few.want_levels(true);
  few.set_reported_types(kAll);
  few.read_all(clock.now_ns);
  EXPECT_EQ(few.size(), 1U);
  EXPECT_EQ(few.forgotten(), 1U);
  EXPECT_EQ(few.uid_of(10), 1000U);
  EXPECT_EQ(few.uid_of(11), 1001U);
  const auto numbers = few.numbers_of(11);
  ASSERT_EQ(numbers.of.size(), 1U);
  EXPECT_EQ(numbers.of[0], (event::NamespacePid{70, 5}));
  tree.remove(10);
  tree.remove(11);
  EXPECT_NE(few.uid_of(10).has_value(), few.uid_of(11).has_value());
}

// Many births and deaths do not grow the table.
TEST_F(TaskIdsTest, ReusesListsOfNumbers) {
  begin(kAll);
  for (int round = 0; round < 1000; ++round) {
    const uint64_t stamp = (101 + static_cast<uint64_t>(round)) * kSecond;
    birth(20, stamp, 0, {{.ns = 70, .child_pid = round + 1, .child_tid = round + 1}});
    EXPECT_EQ(numbers(20, stamp), "70:" + std::to_string(round + 1) + " ");
    if (round % 2 == 0) continue;
    identities.on_raw(raw_of(KNELL_EVENT_EXIT, 20, 20, stamp));
    identities.sweep(4, stamp + kSecond, [](int32_t) { return true; });
    EXPECT_EQ(identities.size(), 0U);
  }
  EXPECT_LE(identities.lists_for_testing(), 2U);
}

}  // namespace
}  // namespace knell::process
