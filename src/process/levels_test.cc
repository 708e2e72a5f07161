// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/levels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "process/fake_proc.h"

namespace knell::process {
namespace {

// Namespace 71 is inside 70. 10 is outside both, 20 is the first of 70, 30 the first of 71; 40
// entered 71 by setns() and its parent is 10; 50 is in 72.
class LevelsTest : public ::testing::Test {
 protected:
  LevelsTest() {
    clock.now_ns = 1'000'000'000'000;
    (void)table.keep({.owners = true, .namespaces = true});
    table.begin_scan();
    ScanBudget all;
    EXPECT_TRUE(table.scan_some(all));
  }
  FakeProc tree{{{10, {.start = 1}},
                 {20, {.start = 1, .numbers = {{70, 1}}}},
                 {30, {.start = 1, .numbers = {{70, 5}, {71, 1}}}},
                 {31, {.start = 1, .numbers = {{70, 6}, {71, 2}}}},
                 {40, {.start = 1, .numbers = {{70, 7}, {71, 3}}}},
                 {50, {.start = 1, .numbers = {{72, 1}}}}}};
  ProcReader proc = tree.reader();
  FakeClock clock;
  Timebase time;
  ProcessTable table{proc, clock, time, 0xabcd, {}, fake_namespaces_from};
};

knell_event event_of(uint32_t type, int32_t pid, int32_t tid, int32_t ppid) {
  knell_event event{};
  event.type = type;
  event.pid = pid;
  event.tid = tid;
  event.ppid = ppid;
  return event;
}

TEST_F(LevelsTest, LevelsOfAnEvent) {
  const Levels levels = levels_of(event_of(KNELL_EVENT_EXEC, 30, 31, 20), table);
  EXPECT_TRUE(levels.known);
  ASSERT_EQ(levels.count, 2U);
  EXPECT_EQ(levels.at[0], (event::NamespacePids{.ns = 70, .pid = 5, .tid = 6, .ppid = 1}));
  EXPECT_EQ(levels.at[1], (event::NamespacePids{.ns = 71, .pid = 1, .tid = 2, .ppid = 0}));
}

TEST_F(LevelsTest, LevelsOfAForkAreThoseOfTheChild) {
  knell_event fork = event_of(KNELL_EVENT_FORK, 10, 10, 1);
  fork.child_pid = fork.child_tid = 40;
  const Levels levels = levels_of(fork, table);
  ASSERT_EQ(levels.count, 2U);
  EXPECT_EQ(levels.at[0], (event::NamespacePids{.ns = 70, .child_pid = 7, .child_tid = 7}));
  EXPECT_EQ(levels.at[1], (event::NamespacePids{.ns = 71, .child_pid = 3, .child_tid = 3}));
}

TEST_F(LevelsTest, LevelsHaveTheNumbersOfOtherNamedProcesses) {
  knell_event exit = event_of(KNELL_EVENT_EXIT, 30, 30, 20);
  exit.has = KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;
  exit.killed_by.pid = exit.killed_by.parent_pid = exit.last_signal.pid = 20;
  EXPECT_EQ(levels_of(exit, table).at[0].other_pid, 1);
  EXPECT_EQ(levels_of(exit, table).at[0].other_ppid, 1);
  EXPECT_EQ(levels_of(exit, table).at[0].last_sender_pid, 1);
  EXPECT_EQ(levels_of(exit, table).at[1].other_pid, 0);
  knell_event traced = event_of(KNELL_EVENT_PTRACE, 30, 30, 20);
  traced.tracer_pid = 31;
  EXPECT_EQ(levels_of(traced, table).at[1].other_pid, 2);
}

TEST_F(LevelsTest, OutsideAllNamespacesIsNotUnknown) {
  const Levels none = levels_of(event_of(KNELL_EVENT_EXEC, 10, 10, 1), table);
  EXPECT_TRUE(none.known);
  EXPECT_TRUE(none.of().empty());
  EXPECT_FALSE(levels_of(event_of(KNELL_EVENT_EXEC, 99, 99, 1), table).known);
  EXPECT_FALSE(levels_of(event_of(KNELL_EVENT_LOST, 0, 0, 0), table).known);
}

// The event as translated for a listener in `ns`; nullopt: the listener must not receive it.
std::optional<event::Raw> seen_in(uint32_t ns, const event::Raw& raw, ProcessTable& table) {
  const Levels levels = levels_of(raw, table);
  const auto at = std::ranges::find(levels.of(), ns, &event::NamespacePids::ns);
  if (at == levels.of().end() || at->pid == 0 || at->tid == 0) return std::nullopt;
  return event::translate(raw, *at);
}

event::Raw exit_of(int32_t pid, int32_t parent) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXIT;
  raw.pid = raw.tid = pid;
  raw.u.exit = {.code = 0x100, .signal = 17, .parent_tid = parent, .parent_pid = parent};
  return raw;
}

TEST_F(LevelsTest, ARawEventInANamespace) {
  const auto seen = seen_in(70, exit_of(30, 20), table);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->pid, 5);
  EXPECT_EQ(seen->tid, 5);
  EXPECT_EQ(seen->u.exit.parent_pid, 1);
  EXPECT_EQ(seen->u.exit.parent_tid, 1);
  EXPECT_EQ(seen->u.exit.code, 0x100U);
  const auto inner = seen_in(71, exit_of(30, 20), table);
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->pid, 1);
  EXPECT_EQ(inner->u.exit.parent_pid, 0) << "a process outside has no number";
}

TEST_F(LevelsTest, HidesEventsOfProcessesOutside) {
  EXPECT_FALSE(seen_in(70, exit_of(10, 1), table));
  EXPECT_FALSE(seen_in(70, exit_of(50, 10), table));
  EXPECT_FALSE(seen_in(71, exit_of(20, 10), table)) << "it is in the outer namespace only";
  EXPECT_FALSE(seen_in(70, exit_of(99, 10), table)) << "it is unknown";
}

TEST_F(LevelsTest, TheSubjectOfAForkIsTheChild) {
  event::Raw raw;
  raw.what = KNELL_EVENT_FORK;
  raw.pid = raw.tid = 40;
  raw.u.fork = {10, 10};
  const auto seen = seen_in(71, raw, table);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->pid, 3);
  EXPECT_EQ(seen->u.fork.parent_pid, 0);
  raw.pid = raw.tid = 20;
  EXPECT_FALSE(seen_in(71, raw, table));
}

TEST_F(LevelsTest, TranslatesTracersAndParentsOfCoredumps) {
  event::Raw raw;
  raw.what = KNELL_EVENT_PTRACE;
  raw.pid = raw.tid = 30;
  raw.u.ptrace = {31, 30};
  auto seen = seen_in(71, raw, table);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->u.ptrace.tracer_tid, 2);
  EXPECT_EQ(seen->u.ptrace.tracer_pid, 1);
  raw.what = KNELL_EVENT_COREDUMP;
  raw.u.coredump = {20, 20};
  seen = seen_in(70, raw, table);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->u.coredump.parent_pid, 1);
}

TEST_F(LevelsTest, AHoleAndAnAckHaveNone) {
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.u.lost.count = 5;
  EXPECT_TRUE(levels_of(raw, table).of().empty());
  EXPECT_FALSE(levels_of(raw, table).known);
  raw = {};
  raw.what = KNELL_EVENT_NONE;
  EXPECT_TRUE(levels_of(raw, table).of().empty());
}

}  // namespace
}  // namespace knell::process
