// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/process_details.h"

#include <gtest/gtest.h>

#include "process/fake_proc.h"

namespace knell::process {
namespace {

constexpr uint64_t kTick = Timebase::kTickNs;

class ProcessDetailsTest : public ::testing::Test {
 protected:
  ProcessDetails& process_details() {
    if (!process_details_) {
      reader_ = tree.reader();
      process_details_.emplace(details, 0xabcd, *reader_, time, limits);
    }
    return *process_details_;
  }
  void fork(int32_t pid, int32_t parent, uint64_t at) {
    event::Raw raw;
    raw.what = KNELL_EVENT_FORK;
    raw.stamp_ns = at;
    raw.pid = raw.tid = pid;
    raw.u.fork = {parent, parent};
    process_details().on_fork(raw);
  }
  void exec(int32_t pid, uint64_t at) {
    event::Raw raw;
    raw.what = KNELL_EVENT_EXEC;
    raw.stamp_ns = at;
    raw.pid = raw.tid = pid;
    process_details().on_exec(raw);
  }

  FakeProc tree;
  Timebase time;
  TableLimits limits;
  uint32_t details = KNELL_DETAILS_FULL;
  std::optional<ProcReader> reader_;
  std::optional<ProcessDetails> process_details_;
};

TEST_F(ProcessDetailsTest, ScansInPieces) {
  for (int pid = 50; pid < 55; ++pid) tree.add(pid, {.start = 1});
  process_details().read_all(2 * kTick);
  tree.remove(52);  // no event reports it
  process_details().begin_scan(5 * kTick);
  fork(60, 50, 5 * kTick + kTick / 2);
  int pieces = 1;
  for (;; ++pieces) {
    ScanBudget one{.left = 1};
    if (process_details().scan_some(one, 6 * kTick)) break;
  }
  EXPECT_EQ(pieces, 5);
  EXPECT_EQ(process_details().at(52, 6 * kTick), nullptr);
  EXPECT_NE(process_details().at(54, 6 * kTick), nullptr);
  EXPECT_NE(process_details().at(60, 6 * kTick), nullptr) << "born since the scan began";
}

// In a hierarchy of version 1 the kernel shows "/" for every process that is exiting.
TEST_F(ProcessDetailsTest, IgnoresTheRootCgroupOfAnExitingProcess) {
  const std::string root = "1:name=systemd:/\n0::/\n";
  tree.add(50, {.flags = 4, .cgroup = root});
  tree.add(51, {.cgroup = root});
  tree.add(52, {.flags = 4, .cgroup = "0::/\n"});
  process_details().read_all(5 * kTick);
  const auto cgroup = [&](int32_t pid) { return process_details().at(pid, 5 * kTick)->cgroup; };
  EXPECT_EQ(cgroup(50), nullptr);
  ASSERT_NE(cgroup(51), nullptr);
  EXPECT_EQ(cgroup(51)->path, "/");
  EXPECT_NE(cgroup(52), nullptr);
}

TEST_F(ProcessDetailsTest, AnEmptyNameIsKnown) {
  tree.add(50, {.comm = ""});
  process_details().read_all(5 * kTick);
  Slot slot;
  slot.event.mono_ns = 6 * kTick;
  process_details().describe(slot, 50, ProcessDetails::ReadProc::kNo);
  EXPECT_NE(slot.event.comm.data, nullptr);
  EXPECT_EQ(slot.event.comm.size, 0U);
  exec(50, 7 * kTick);
  tree.remove(50);
  exec(50, 8 * kTick);
  slot.event.mono_ns = 9 * kTick;
  slot.event.comm = {nullptr, 0};
  process_details().describe(slot, 50, ProcessDetails::ReadProc::kNo);
  EXPECT_EQ(slot.event.comm.data, nullptr) << "unknown after an exec that was not read";
}

TEST_F(ProcessDetailsTest, AStartIsTheTickOfTheForkUnlessATickIsNear) {
  tree.add(40, {.start = 1});
  process_details().read_all(5 * kTick);
  fork(50, 40, 10 * kTick + kTick / 2);
  EXPECT_EQ(process_details().id_of(50, 11 * kTick).start, 10U);
  EXPECT_EQ(process_details().id_of(50, 11 * kTick).kind, static_cast<uint32_t>(KNELL_ID_START));

  fork(51, 40, 20 * kTick + 1000);
  EXPECT_EQ(process_details().id_of(51, 21 * kTick).kind, static_cast<uint32_t>(KNELL_ID_STAMP))
      << "19 or 20: unknown";

  tree.add(52, {.start = 19});
  fork(52, 40, 20 * kTick + 1000);
  EXPECT_EQ(process_details().id_of(52, 21 * kTick).start, 19U) << "as in /proc";
}

TEST_F(ProcessDetailsTest, StartsIncludeSuspendedTime) {
  time.boot_ahead_ns = 1000 * static_cast<int64_t>(kTick);
  tree.add(40, {.start = 1});
  process_details().read_all(5 * kTick);
  fork(50, 40, 10 * kTick + kTick / 2);
  EXPECT_EQ(process_details().id_of(50, 11 * kTick).start, 1010U);
}

TEST_F(ProcessDetailsTest, AnEntryReadAfterAQueuedForkIsKept) {
  tree.add(50, {.ppid = 40, .start = 10, .comm = "later"});
  process_details().read_all(30 * kTick);
  fork(50, 40, 10 * kTick + kTick / 2);
  Slot slot;
  slot.event.type = KNELL_EVENT_EXEC;
  slot.event.mono_ns = 40 * kTick;
  process_details().describe(slot, 50, ProcessDetails::ReadProc::kNo);
  EXPECT_EQ(std::string(slot.event.comm.data, slot.event.comm.size), "later");
}

TEST_F(ProcessDetailsTest, AnExitQueuedBeforeThePidWasReusedIsNotTheNewProcess) {
  tree.add(50, {.start = 100, .comm = "new"});
  process_details().read_all(200 * kTick);
  EXPECT_EQ(process_details().at(50, 50 * kTick), nullptr);
  process_details().on_exit(50, 50 * kTick);
  EXPECT_NE(process_details().at(50, 150 * kTick), nullptr);
  Slot slot;
  slot.event.mono_ns = 50 * kTick;
  process_details().describe(slot, 50, ProcessDetails::ReadProc::kYes);
  EXPECT_EQ(slot.event.comm.data, nullptr) << "/proc shows a process that began later";
}

TEST_F(ProcessDetailsTest, InheritsAndDropsTheTerminal) {
  tree.add(40, {.tty = 0x8803});
  process_details().read_all(2 * kTick);
  fork(50, 40, 10 * kTick);
  const auto tty = [&](int32_t pid) {
    Slot slot;
    slot.event.mono_ns = 11 * kTick;
    process_details().describe(slot, pid, ProcessDetails::ReadProc::kNo);
    return std::string(slot.event.tty.data != nullptr ? slot.event.tty.data : "none");
  };
  EXPECT_EQ(tty(40), "pts/3");
  EXPECT_EQ(tty(50), "pts/3");
  process_details().left_terminal(50);
  EXPECT_EQ(tty(50), "none");
  EXPECT_EQ(tty(40), "pts/3");
  tree.add(50, {.start = 10, .tty = 0x401});
  exec(50, 11 * kTick);
  EXPECT_EQ(tty(50), "tty1");
}

TEST_F(ProcessDetailsTest, AnExecReadsTheNewProgram) {
  tree.add(40, {.start = 1, .comm = "sh", .cmdline = std::string("sh\0", 3)});
  process_details().read_all(2 * kTick);
  fork(50, 40, 10 * kTick + kTick / 2);
  tree.add(50, {.start = 10,
                .comm = "grep",
                .cmdline = std::string("grep\0-q\0", 8),
                .cgroup = "0::/a.service\n"});
  exec(50, 11 * kTick);
  Slot slot;
  slot.event.type = KNELL_EVENT_EXIT;
  slot.event.mono_ns = 12 * kTick;
  process_details().describe(slot, 50, ProcessDetails::ReadProc::kNo);
  EXPECT_EQ(std::string(slot.event.args.data, slot.event.args.size), std::string("grep\0-q\0", 8));
  EXPECT_EQ(std::string(slot.event.unit.data, slot.event.unit.size), "a.service");
  EXPECT_EQ(slot.event.duration_ns, 12 * kTick - (10 * kTick + kTick / 2));
}

TEST_F(ProcessDetailsTest, ReadsNoProgramWithDetailsNames) {
  details = KNELL_DETAILS_NAMES;
  tree.add(50, {.start = 1, .cmdline = std::string("sh\0", 3)});
  process_details().read_all(2 * kTick);
  ASSERT_NE(process_details().at(50, 3 * kTick), nullptr);
  EXPECT_EQ(process_details().at(50, 3 * kTick)->image, nullptr);
}

TEST_F(ProcessDetailsTest, KeepsItsLimitAndCountsTheRest) {
  limits.processes = 10;
  tree.add(40, {.start = 1});
  process_details().read_all(2 * kTick);
  for (int32_t pid = 100; pid < 200; ++pid) fork(pid, 40, 10 * kTick + kTick / 2);
  EXPECT_EQ(process_details().table().size(), 10U);
  EXPECT_EQ(process_details().table().forgotten(), 91U);
}

TEST_F(ProcessDetailsTest, LimitsTextAndReleasesIt) {
  ProcessTable table({.processes = 10, .text_bytes = 10'000});
  Image image;
  image.args = std::string(6000, 'x');
  auto kept = table.keep(image);
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(table.keep(image), nullptr);
  EXPECT_EQ(table.forgotten(), 1U);
  kept.reset();
  EXPECT_NE(table.keep(image), nullptr);
}

}  // namespace
}  // namespace knell::process
