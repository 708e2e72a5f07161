// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/event_builder.h"

#include <gtest/gtest.h>
#include <knell/cn_proc.h>

#include <csignal>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/raw.h"
#include "process/fake_proc.h"
#include "source/bpf/record_for_test.h"
#include "source/output_for_test.h"

namespace knell::source {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr uint64_t kTickNs = process::Timebase::kTickNs;

knell_sender sender_of(int32_t pid, uint32_t cause) {
  knell_sender sender{};
  sender.signal = SIGTERM;
  sender.cause = cause;
  sender.uid = 1000;
  sender.pid = pid;
  sender.parent_pid = 59;
  sender.stamp_ns = 5'000'000'000 - 1000;
  std::memcpy(sender.comm, "killer", 6);
  std::memcpy(sender.parent_comm, "its parent", 10);
  return sender;
}

using DetailsLost = EventBuilder::DetailsLost;

class EventBuilderTest : public ::testing::Test {
 protected:
  EventBuilderTest() {
    (void)table.keep({.details = KNELL_DETAILS_FULL});
    process.head.kind = KNELL_RECORD_DETAILS;
    process.head.flags = KNELL_RECORD_NAMED;
    process.head.stamp_ns = 4'000'000'000;
    process.pid = process.tid = 50;
    process.start_ns = 2'345'678'901;
    process.ppid = 40;
    process.parent_start_ns = 1'000'000'000;
    std::memcpy(process.comm, "sh", 2);
    std::memcpy(process.parent_comm, "bash", 4);
    mark.head.kind = KNELL_RECORD_MARK;
    mark.head.stamp_ns = 5'000'000'000;
    mark.pid = 50;
    mark.start_ns = process.start_ns;
    mark.ppid = 40;
    mark.status = 0x700;
    mark.signal = 17;
  }

  void set_flag(uint32_t flag) { process.head.flags |= flag; }
  void set_args(std::string_view text) {
    set_flag(KNELL_RECORD_ARGS);
    args = text;
  }
  void set_killer(const knell_sender& sender) {
    set_flag(KNELL_RECORD_KILLER);
    senders.insert(senders.begin(), sender);
  }
  void set_last_sender(const knell_sender& sender) {
    set_flag(KNELL_RECORD_LAST_SENDER);
    senders.push_back(sender);
  }
  RecordBytes record() {
    process.args_bytes = static_cast<uint32_t>(args.size());
    process.exe_bytes = static_cast<uint32_t>(exe_names.size());
    process.cwd_bytes = static_cast<uint32_t>(cwd_names.size());
    process.memory_cgroup_bytes = static_cast<uint32_t>(memory_cgroup_names.size());
    process.levels = static_cast<uint32_t>(levels.size());
    std::string tail = args + exe_names + cwd_names + memory_cgroup_names;
    for (const knell_sender& sender : senders) tail += bytes_of(sender);
    return RecordBytes(process, tail + bytes_of(levels));
  }
  void add(uint64_t roots = 0) {
    const RecordBytes bytes = record();
    const auto decoded = decode(bytes.view());
    ASSERT_TRUE(decoded);
    builder.add(*decoded, roots);
  }
  void add_exit(uint64_t roots = 0) {
    const RecordBytes bytes = record();
    const auto decoded = decode(bytes.view());
    ASSERT_TRUE(decoded);
    builder.add_exit(&*decoded, mark, roots, DetailsLost::kYes);
  }
  // Takes the only event out of the batch.
  const KeptEvent& taken() {
    kept.events.clear();
    kept.take();
    EXPECT_EQ(kept.events.size(), 1U);
    return kept.events.at(0);
  }
  const knell_event& event_of(uint32_t kind) {
    process.head.kind = kind;
    add();
    return taken().event;
  }
  const knell_event& exit_event() {
    add_exit();
    return taken().event;
  }
  const knell_event& exit_of_mark_alone(DetailsLost lost = DetailsLost::kYes) {
    builder.add_exit(nullptr, mark, 0, lost);
    return taken().event;
  }
  // The reported event of a thread, translated for a listener in the first of its levels.
  event::Raw thread_event_inside() {
    EXPECT_EQ(kept.threads.size(), 1U);
    const KeptOutput::ThreadEvent one = kept.threads.at(0);
    kept.threads.clear();
    kept.batch.clear();
    return event::translate(one.raw, one.levels.at(0));
  }

  process::FakeProc tree;
  process::ProcReader proc = tree.reader();
  FakeClock clock;
  KeptOutput kept{1024, clock, 0xabcd};
  process::ProcessTable table{proc, clock, kept.out.time(), 0xabcd};
  EventBuilder builder{kept.out, table};

  knell_process process{};
  knell_mark mark{};
  std::string args, exe_names, cwd_names, memory_cgroup_names;
  std::vector<knell_sender> senders;
  std::vector<knell_numbers> levels;
};

// ----------------------------------------------------------------------------------------- fields

TEST_F(EventBuilderTest, FillsAllFieldsOfAnExit) {
  const std::string words("sh\0-c\0exit 7\0", 13);
  set_args(words);
  exe_names = "dash\0bin\0usr\0"s;
  cwd_names = "tmp\0"s;
  process.tty = 0x8803;
  process.uid = 1000;
  process.gid = 33;
  set_killer(sender_of(60, KNELL_CAUSE_USER));
  set_last_sender(sender_of(61, KNELL_CAUSE_USER));
  const knell_event& event = exit_event();
  EXPECT_EQ(event.size, sizeof event);
  EXPECT_EQ(event.type, static_cast<uint32_t>(KNELL_EVENT_EXIT));
  EXPECT_EQ(event.mono_ns, 5'000'000'000U);
  EXPECT_EQ(event.pid, 50);
  EXPECT_EQ(event.tid, 50);
  EXPECT_EQ(event.ppid, 40);
  EXPECT_EQ(event.id.boot, 0xabcdU);
  EXPECT_EQ(event.id.start, 234u) << "ticks, as in /proc";
  EXPECT_EQ(event.id.kind, static_cast<uint32_t>(KNELL_ID_START));
  EXPECT_EQ(event.parent_id.start, 100u);
  EXPECT_EQ(event.duration_ns, 5'000'000'000u - 2'345'678'901u);
  EXPECT_EQ(event.wait_status, 0x700);
  EXPECT_EQ(event.exit_signal, 17U);
  EXPECT_EQ(event.uid, 1000U);
  EXPECT_EQ(event.gid, 33U);
  EXPECT_EQ(text_of(event.comm), "sh");
  EXPECT_EQ(text_of(event.parent_comm), "bash");
  EXPECT_EQ(text_of(event.args), words);
  EXPECT_EQ(text_of(event.exe), "/usr/bin/dash");
  EXPECT_EQ(text_of(event.cwd), "/tmp");
  EXPECT_EQ(text_of(event.tty), "pts/3");
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(event.killed_by.pid, 60);
  EXPECT_EQ(text_of(event.killed_by.comm), "killer");
  EXPECT_EQ(event.killed_by.parent_pid, 59);
  EXPECT_EQ(text_of(event.killed_by.parent_comm), "its parent");
  EXPECT_EQ(event.killed_by.memory_cgroup.data, nullptr);
  ASSERT_NE(event.has & KNELL_HAS_LAST_SIGNAL, 0u);
  EXPECT_EQ(event.last_signal.signal, SIGTERM);
  EXPECT_EQ(event.last_signal.pid, 61);
  EXPECT_EQ(event.last_signal.uid, 1000u);
  EXPECT_EQ(text_of(event.last_signal.comm), "killer");
  EXPECT_EQ(text_of(event.last_signal.parent_comm), "its parent");
  EXPECT_EQ(event.last_signal.ago_ns, 1000u);
  EXPECT_EQ(event.via, static_cast<uint32_t>(KNELL_VIA_BPF));
}

TEST_F(EventBuilderTest, FillsAnExec) {
  set_args("sh\0a\0"sv);
  exe_names = "sh\0"s;
  cwd_names = "\0"s;
  const knell_event& event = event_of(KNELL_RECORD_EXEC);
  EXPECT_EQ(event.type, static_cast<uint32_t>(KNELL_EVENT_EXEC));
  EXPECT_EQ(event.mono_ns, 4'000'000'000U);
  EXPECT_EQ(text_of(event.args), "sh\0a\0"sv);
  EXPECT_EQ(text_of(event.exe), "/sh");
  EXPECT_EQ(text_of(event.cwd), "/");
  EXPECT_EQ(event.flags & KNELL_FLAG_ARGS_TRUNCATED, 0u);
  EXPECT_EQ(event.has & KNELL_HAS_STATUS, 0u);
}

TEST_F(EventBuilderTest, FillsAForkAndARename) {
  process.child_pid = process.child_tid = 51;
  process.child_start_ns = 3'000'000'000;
  std::memcpy(process.new_comm, "renamed", 7);
  const knell_event fork = event_of(KNELL_RECORD_FORK);
  EXPECT_EQ(fork.type, static_cast<uint32_t>(KNELL_EVENT_FORK));
  EXPECT_EQ(fork.child_pid, 51);
  EXPECT_EQ(fork.child_tid, 51);
  EXPECT_EQ(fork.child_id.start, 300U);
  const knell_event& comm = event_of(KNELL_RECORD_COMM);
  EXPECT_EQ(comm.type, static_cast<uint32_t>(KNELL_EVENT_COMM));
  EXPECT_EQ(text_of(comm.comm), "sh");
  EXPECT_EQ(text_of(comm.new_comm), "renamed");
}

TEST_F(EventBuilderTest, FillsEventsOfTheConnector) {
  process.change[0] = 33;
  process.change[1] = 34;
  process.what = KNELL_EVENT_GID;
  const knell_event gid = event_of(KNELL_RECORD_CHANGE);
  EXPECT_EQ(gid.type, static_cast<uint32_t>(KNELL_EVENT_GID));
  EXPECT_EQ(gid.rgid, 33U);
  EXPECT_EQ(gid.egid, 34U);
  process.what = KNELL_EVENT_UID;
  const knell_event uid = event_of(KNELL_RECORD_CHANGE);
  EXPECT_EQ(uid.ruid, 33U);
  EXPECT_EQ(uid.euid, 34U);
  process.what = KNELL_EVENT_PTRACE;
  EXPECT_EQ(event_of(KNELL_RECORD_CHANGE).tracer_pid, 34);
}

TEST_F(EventBuilderTest, MarksDeletedFiles) {
  set_flag(KNELL_RECORD_EXE_DELETED | KNELL_RECORD_CWD_DELETED);
  exe_names = "sh\0"s;
  const knell_event& event = event_of(KNELL_RECORD_EXEC);
  EXPECT_EQ(text_of(event.exe), "/sh (deleted)");
  EXPECT_EQ(event.cwd.data, nullptr) << "unknown";
}

TEST_F(EventBuilderTest, NulsAtTheEndOfTheArgumentsAreWhatTheRecordSays) {
  set_args("sh\0\0\0"sv);
  EXPECT_EQ(text_of(event_of(KNELL_RECORD_EXEC).args), "sh\0"sv) << "unknown: one long title";
  set_args("sh\0\0"sv);
  EXPECT_EQ(text_of(event_of(KNELL_RECORD_EXEC).args), "sh\0\0"sv) << "unknown";
  set_flag(KNELL_RECORD_ARGS_PADDED);
  EXPECT_EQ(text_of(event_of(KNELL_RECORD_EXEC).args), "sh\0"sv);
  process.head.flags &= ~static_cast<uint32_t>(KNELL_RECORD_ARGS_PADDED);
  set_flag(KNELL_RECORD_ARGS_EXACT);
  EXPECT_EQ(text_of(event_of(KNELL_RECORD_EXEC).args), "sh\0\0"sv);
}

TEST_F(EventBuilderTest, TheLastArgumentEndsWithANul) {
  set_args("sh\0-c\0exi"sv);
  set_flag(KNELL_RECORD_ARGS_CUT);
  const knell_event& event = exit_event();
  EXPECT_EQ(text_of(event.args), "sh\0-c\0exi\0"sv);
  EXPECT_NE(event.flags & KNELL_FLAG_ARGS_TRUNCATED, 0u);
}

TEST_F(EventBuilderTest, EmptyArgumentsAreNotNull) {
  set_args("");
  const knell_event& event = exit_event();
  EXPECT_NE(event.args.data, nullptr);
  EXPECT_EQ(event.args.size, 0u);
}

TEST_F(EventBuilderTest, AnEmptyNameIsNotNull) {
  knell_sender nameless = sender_of(60, KNELL_CAUSE_USER);
  std::memset(nameless.comm, 0, sizeof nameless.comm);
  std::memset(nameless.parent_comm, 0, sizeof nameless.parent_comm);
  set_killer(nameless);
  set_last_sender(nameless);
  const knell_event& event = exit_event();
  for (const knell_string& name : {event.killed_by.comm, event.killed_by.parent_comm,
                                   event.last_signal.comm, event.last_signal.parent_comm}) {
    EXPECT_NE(name.data, nullptr);
    EXPECT_EQ(name.size, 0u);
  }
}

TEST_F(EventBuilderTest, TheKernelKillsWhenMemoryRunsOut) {
  set_flag(KNELL_RECORD_OUT_OF_MEMORY);
  memory_cgroup_names = "b\0abc\0"s;
  set_killer(sender_of(0, KNELL_CAUSE_KERNEL));
  const knell_event& event = exit_event();
  EXPECT_NE(event.has & KNELL_HAS_KILLER, 0u);
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_OOM));
  EXPECT_EQ(text_of(event.killed_by.memory_cgroup), "/abc/b");
  EXPECT_EQ(event.killed_by.pid, 0);
  EXPECT_EQ(event.killed_by.comm.data, nullptr);
  EXPECT_EQ(event.has & KNELL_HAS_LAST_SIGNAL, 0u);
}

TEST_F(EventBuilderTest, FindsCgroupsByInode) {
  builder.cgroups().learn(4711, "/system.slice/cron.service");
  builder.cgroups().learn(4712, "/system.slice/killer.service");
  process.cgroup = 4711;
  knell_sender killer = sender_of(60, KNELL_CAUSE_USER);
  killer.cgroup = 4712;
  set_killer(killer);
  const knell_event& event = exit_event();
  EXPECT_EQ(text_of(event.cgroup), "/system.slice/cron.service");
  EXPECT_EQ(text_of(event.unit), "cron.service");
  EXPECT_EQ(text_of(event.killed_by.unit), "killer.service");
}

TEST_F(EventBuilderTest, KeepsLongTextsOfManyEvents) {
  set_args(std::string(4096, 'x'));
  for (int i = 0; i < 1024; ++i) add_exit();
  kept.take();
  ASSERT_EQ(kept.events.size(), 1024U);
  for (const KeptEvent& one : kept.events) ASSERT_EQ(one.event.args.size, 4097u);
}

// ------------------------------------------------------------------------------- details and mark

TEST_F(EventBuilderTest, TakesStampAndStatusFromTheMark) {
  process.status = 0x100;
  process.uid = 7;
  const knell_event& event = exit_event();
  EXPECT_EQ(event.mono_ns, 5'000'000'000U);
  EXPECT_EQ(event.wait_status, 0x700);
  EXPECT_EQ(event.uid, 7U);
  EXPECT_NE(event.comm.data, nullptr);
  EXPECT_EQ(event.args.data, nullptr);
}

TEST_F(EventBuilderTest, MakesAnExitOfAMarkAlone) {
  const knell_event& event = exit_of_mark_alone();
  EXPECT_EQ(event.type, static_cast<uint32_t>(KNELL_EVENT_EXIT));
  EXPECT_EQ(event.pid, 50);
  EXPECT_EQ(event.tid, 50);
  EXPECT_EQ(event.ppid, 40);
  EXPECT_EQ(event.wait_status, 0x700);
  EXPECT_EQ(event.exit_signal, 17U);
  EXPECT_EQ(event.id.start, 234U);
  EXPECT_EQ(event.comm.data, nullptr);
}

TEST_F(EventBuilderTest, UnknownFieldsAreNull) {
  mark.start_ns = 0;
  mark.ppid = 0;
  const knell_event& event = exit_of_mark_alone(DetailsLost::kNo);
  EXPECT_EQ(event.id.kind, static_cast<uint32_t>(KNELL_ID_STAMP));
  EXPECT_EQ(event.comm.data, nullptr);
  EXPECT_EQ(event.args.data, nullptr);
  EXPECT_EQ(event.cgroup.data, nullptr);
  EXPECT_EQ(event.ppid, 0);
  EXPECT_EQ(event.parent_id.kind, static_cast<uint32_t>(KNELL_ID_NONE));
  EXPECT_EQ(event.has, static_cast<uint64_t>(KNELL_HAS_STATUS));
}

// A listener added the process while it was dying, so the programs have not read its details.
TEST_F(EventBuilderTest, ReadsInProcWhatTheRecordLacks) {
  tree.add(50, {.ppid = 40, .start = 234, .comm = "dying", .uid = 1000});
  mark.uid = 1000;
  const knell_event& event = exit_of_mark_alone();
  EXPECT_EQ(text_of(event.comm), "dying");
  EXPECT_EQ(event.uid, 1000U);
  EXPECT_EQ(event.id.start, 234U);
}

TEST_F(EventBuilderTest, ReadsNothingOfALaterProcessWithThePid) {
  tree.add(40, {.start = 100, .comm = "bash"});
  tree.add(50, {.ppid = 40, .start = 400, .comm = "later", .cmdline = "later\0"s, .uid = 1000});
  const knell_event& event = exit_of_mark_alone(DetailsLost::kNo);
  EXPECT_EQ(event.id.start, 234U);
  EXPECT_EQ(event.ppid, 40);
  for (const knell_string& text : {event.comm, event.args, event.exe, event.cgroup})
    EXPECT_EQ(text.data, nullptr);
  EXPECT_EQ(event.parent_comm.data, nullptr);
  EXPECT_EQ(event.has & KNELL_HAS_UID, 0U);
  process.head.flags = 0;  // neither does an event with a record, but without details
  const knell_event& exec = event_of(KNELL_RECORD_EXEC);
  EXPECT_EQ(exec.parent_comm.data, nullptr);
  EXPECT_EQ(exec.id.start, 234U);
}

TEST_F(EventBuilderTest, TheParentInProcIsUsedIfItIsThatOfTheMark) {
  tree.add(1, {.ppid = 0, .start = 1, .comm = "init"});
  tree.add(40, {.start = 100, .comm = "bash"});
  tree.add(50, {.ppid = 40, .start = 234});
  const knell_event& known = exit_of_mark_alone();
  EXPECT_EQ(known.parent_id.start, 100U);
  EXPECT_EQ(text_of(known.parent_comm), "bash");
  tree.add(50, {.ppid = 1, .start = 234});
  const knell_event& adopted = exit_of_mark_alone();
  EXPECT_EQ(adopted.ppid, 40);
  EXPECT_EQ(adopted.parent_id.kind, static_cast<uint32_t>(KNELL_ID_NONE));
  EXPECT_EQ(adopted.parent_comm.data, nullptr);
}

TEST_F(EventBuilderTest, EventsHaveTheRootsOfTheirProcess) {
  builder.set_request({.roots = {{7}, {8}, {9}}});
  kept.roots = {{7}, {8}, {9}};
  add_exit(0b101);
  EXPECT_EQ(taken().roots, 0b101U);
  process.head.kind = KNELL_RECORD_EXEC;
  add(0b010);
  EXPECT_EQ(taken().roots, 0b010U);
}

// ------------------------------------------------------------------------ pid namespaces, owners

TEST_F(EventBuilderTest, LevelsAreCopiedIntoTheBatch) {
  set_flag(KNELL_RECORD_LEVELS);
  set_args("odd");    // text that precedes the levels in the batch
  cwd_names = "\0"s;  // so that they are not aligned in the record
  levels = {{77, 1, 2, 3, 0, 0, 5, 6, 7, 8}, {78, 9, 10, 0, 0, 0, 0, 0, 0, 0}};
  add_exit();
  levels.clear();
  process.head.flags &= ~static_cast<uint32_t>(KNELL_RECORD_LEVELS);
  add_exit();
  kept.take();
  ASSERT_EQ(kept.events.size(), 2U);
  const KeptEvent& known = kept.events[0];
  EXPECT_TRUE(known.levels_known);
  ASSERT_EQ(known.levels.size(), 2U);
  EXPECT_EQ(known.levels[0], (event::NamespacePids{.ns = 77,
                                                   .pid = 1,
                                                   .tid = 2,
                                                   .ppid = 3,
                                                   .other_pid = 5,
                                                   .other_ppid = 6,
                                                   .last_sender_pid = 7,
                                                   .last_sender_ppid = 8}));
  EXPECT_EQ(known.levels[1], (event::NamespacePids{.ns = 78, .pid = 9, .tid = 10}));
  EXPECT_TRUE(kept.events[1].levels.empty()) << "these levels belong to the event before";
  EXPECT_FALSE(kept.events[1].levels_known);
}

TEST_F(EventBuilderTest, DistinguishesNoLevelsFromUnknownLevels) {
  process.head.kind = KNELL_RECORD_EXEC;
  add();
  EXPECT_FALSE(taken().levels_known);
  set_flag(KNELL_RECORD_LEVELS);
  add();
  EXPECT_TRUE(taken().levels_known);
  EXPECT_TRUE(kept.events[0].levels.empty());
  builder.add_exit(nullptr, mark, 0, DetailsLost::kYes);
  EXPECT_FALSE(taken().levels_known);
}

TEST_F(EventBuilderTest, ABirthReportedForItsLevelsOnlyIsNoEvent) {
  set_flag(KNELL_RECORD_LEVELS);
  process.child_pid = 51;
  process.child_tid = 52;
  process.child_start_ns = 3 * kTickNs;
  process.child_uid = 1000;
  levels = {{77, 1, 0, 0, 2, 0, 0, 0, 0, 0}, {78, 0, 0, 0, 1, 3, 0, 0, 0, 0}};
  EXPECT_EQ(event_of(KNELL_RECORD_FORK).child_pid, 51);
  EXPECT_TRUE(kept.births.empty()) << "namespaces are not requested";
  builder.set_request({.namespaces = true});
  (void)event_of(KNELL_RECORD_FORK);
  EXPECT_EQ(kept.births.size(), 1U);
  set_flag(KNELL_RECORD_BIRTH);
  add();
  kept.events.clear();
  kept.take();
  EXPECT_TRUE(kept.events.empty());
  ASSERT_EQ(kept.births.size(), 2U);
  const KeptOutput::Birth& birth = kept.births[1];
  EXPECT_EQ(birth.birth.pid, 51);
  EXPECT_EQ(birth.birth.tid, 52);
  EXPECT_EQ(birth.birth.start, 3U);
  EXPECT_EQ(birth.birth.uid, 1000U);
  EXPECT_EQ(birth.birth.stamp_ns, 4'000'000'000U);
  EXPECT_TRUE(birth.birth.levels_known);
  ASSERT_EQ(birth.levels.size(), 2U);
  EXPECT_EQ(birth.levels[0], (event::NamespacePids{.ns = 77, .pid = 1, .child_pid = 2}));
  EXPECT_EQ(birth.levels[1], (event::NamespacePids{.ns = 78, .child_pid = 1, .child_tid = 3}));
}

TEST_F(EventBuilderTest, AnExitWithoutDetailsSaysWhetherTheyWereLost) {
  mark.uid = 0;
  const knell_event lost = exit_of_mark_alone();
  EXPECT_NE(lost.flags & KNELL_FLAG_DETAILS_LOST, 0U);
  EXPECT_NE(lost.has & KNELL_HAS_UID, 0U) << "the mark has the uid";
  EXPECT_EQ(lost.uid, 0U);
  EXPECT_EQ(std::string_view(lost.user.data, lost.user.size), "root");
  const knell_event before = exit_of_mark_alone(DetailsLost::kNo);
  EXPECT_EQ(before.flags & KNELL_FLAG_DETAILS_LOST, 0U);
  EXPECT_EQ(exit_event().flags & KNELL_FLAG_DETAILS_LOST, 0U) << "the details were received";
  builder.set_request({.details = KNELL_DETAILS_NAMES});
  EXPECT_NE(exit_of_mark_alone().flags & KNELL_FLAG_DETAILS_LOST, 0U);
  builder.set_request({.details = KNELL_DETAILS_STATUS, .owners = true});
  const knell_event status = exit_of_mark_alone();
  EXPECT_EQ(status.flags & KNELL_FLAG_DETAILS_LOST, 0U) << "none were requested";
  EXPECT_NE(status.has & KNELL_HAS_UID, 0U);
  EXPECT_EQ(status.user.data, nullptr);
}

TEST_F(EventBuilderTest, OwnersAreReportedWithoutDetails) {
  (void)table.keep({.details = KNELL_DETAILS_STATUS});
  process.head.flags = 0;
  process.uid = mark.uid = 1000;
  EXPECT_EQ(exit_event().has & KNELL_HAS_UID, 0u);
  builder.set_request({.owners = true});
  for (const knell_event& event : {exit_event(), exit_of_mark_alone()}) {
    EXPECT_NE(event.has & KNELL_HAS_UID, 0u);
    EXPECT_EQ(event.uid, 1000U);
    EXPECT_EQ(event.comm.data, nullptr);
  }
}

TEST_F(EventBuilderTest, ReportsTheEndOfEachProcess) {
  set_flag(KNELL_RECORD_LEVELS);
  levels = {{77, 1, 1, 0, 0, 0, 0, 0, 0, 0}};
  kept.shown = KNELL_EVENT_EXEC;
  add_exit();
  ASSERT_EQ(kept.ended.size(), 1U) << "even if its exit is not wanted";
  EXPECT_EQ(kept.batch.size(), 0U);
  EXPECT_EQ(kept.ended[0].pid, 50);
  EXPECT_EQ(kept.ended[0].start, 234U);
  ASSERT_EQ(kept.ended[0].levels.size(), 1U);
  EXPECT_EQ(kept.ended[0].levels[0], (event::NamespacePids{.ns = 77, .pid = 1, .tid = 1}));
  process.head.kind = KNELL_RECORD_EXEC;
  add();
  EXPECT_EQ(kept.ended.size(), 1U);
}

// -------------------------------------------------------------------------------------- raw level

class RawEventBuilderTest : public EventBuilderTest {
 protected:
  RawEventBuilderTest() {
    builder.set_request({.level = KNELL_LEVEL_RAW, .owners = true, .namespaces = true});
    set_flag(KNELL_RECORD_LEVELS);
    process.uid = 1000;
  }
};

TEST_F(RawEventBuilderTest, AForkIsAboutTheChild) {
  process.child_pid = 51;
  process.child_tid = 52;
  process.child_uid = 33;
  levels = {{77, 1, 1, 0, 2, 3, 0, 0, 0, 0}};
  process.head.kind = KNELL_RECORD_FORK;
  add();
  ASSERT_EQ(kept.threads.size(), 1U);
  const event::Raw& raw = kept.threads[0].raw;
  EXPECT_EQ(raw.what, static_cast<uint32_t>(KNELL_EVENT_FORK));
  EXPECT_EQ(raw.stamp_ns, 4'000'000'000U);
  EXPECT_EQ(raw.pid, 51);
  EXPECT_EQ(raw.tid, 52);
  EXPECT_EQ(raw.u.fork.parent_pid, 50);
  EXPECT_EQ(raw.u.fork.parent_tid, 50);
  EXPECT_EQ(kept.threads[0].uid, 33U);
  EXPECT_TRUE(kept.threads[0].levels_known);
  EXPECT_EQ(taken().levels.at(0),
            (event::NamespacePids{.ns = 77, .pid = 1, .tid = 1, .child_pid = 2, .child_tid = 3}))
      << "the finished event has the levels of the record";
  const event::Raw inside = thread_event_inside();
  EXPECT_EQ(inside.pid, 2);
  EXPECT_EQ(inside.tid, 3);
  EXPECT_EQ(inside.u.fork.parent_pid, 1);
  EXPECT_EQ(inside.u.fork.parent_tid, 1);
}

TEST_F(RawEventBuilderTest, OnlyTheExitOfALeaderHasAParent) {
  levels = {{77, 5, 6, 1, 0, 0, 9, 9, 0, 0}};  // 9: a killer
  process.head.kind = KNELL_RECORD_THREAD_EXIT;
  process.status = 0x700;
  process.signal = 17;
  add();
  ASSERT_EQ(kept.threads.size(), 1U);
  EXPECT_EQ(kept.threads[0].raw.what, static_cast<uint32_t>(KNELL_EVENT_EXIT));
  EXPECT_EQ(kept.threads[0].raw.u.exit.code, 0x700U);
  EXPECT_EQ(kept.threads[0].raw.u.exit.signal, 17U);
  EXPECT_EQ(kept.threads[0].raw.u.exit.parent_pid, 40);
  EXPECT_EQ(kept.threads[0].uid, 1000U);
  const event::Raw leader = thread_event_inside();
  EXPECT_EQ(leader.pid, 5);
  EXPECT_EQ(leader.tid, 6);
  EXPECT_EQ(leader.u.exit.parent_pid, 1);
  EXPECT_EQ(leader.u.exit.parent_tid, 1);
  process.tid = 51;
  add();
  ASSERT_EQ(kept.threads.size(), 1U);
  EXPECT_EQ(kept.threads[0].raw.u.exit.parent_pid, 0);
  EXPECT_EQ(thread_event_inside().u.exit.parent_pid, 0);
  EXPECT_TRUE(kept.ended.empty()) << "only threads end at this level";
}

TEST_F(RawEventBuilderTest, TranslatesTracersAndParentsOfCoredumps) {
  levels = {{77, 5, 5, 1, 0, 0, 7, 0, 0, 0}};
  process.head.kind = KNELL_RECORD_CHANGE;
  process.what = KNELL_EVENT_PTRACE;
  process.change[0] = 61;
  process.change[1] = 60;
  add();
  ASSERT_EQ(kept.threads.size(), 1U);
  EXPECT_EQ(kept.threads[0].raw.u.ptrace.tracer_tid, 61);
  EXPECT_EQ(kept.threads[0].raw.u.ptrace.tracer_pid, 60);
  const event::Raw traced = thread_event_inside();
  EXPECT_EQ(traced.u.ptrace.tracer_pid, 7);
  EXPECT_EQ(traced.u.ptrace.tracer_tid, 7);
  process.what = KNELL_EVENT_COREDUMP;
  add();
  ASSERT_EQ(kept.threads.size(), 1U);
  EXPECT_EQ(kept.threads[0].raw.u.coredump.parent_pid, 40);
  EXPECT_EQ(thread_event_inside().u.coredump.parent_pid, 1);
}

TEST_F(RawEventBuilderTest, ChangesHaveTheirNumbersAndNames) {
  process.head.kind = KNELL_RECORD_CHANGE;
  process.what = KNELL_EVENT_UID;
  process.change[0] = 33;
  process.change[1] = 34;
  add();
  process.head.kind = KNELL_RECORD_COMM;
  std::memcpy(process.new_comm, "renamed", 7);
  add();
  ASSERT_EQ(kept.threads.size(), 2U);
  EXPECT_EQ(kept.threads[0].raw.u.id.real, 33U);
  EXPECT_EQ(kept.threads[0].raw.u.id.effective, 34U);
  EXPECT_EQ(std::string_view(kept.threads[1].raw.u.comm.name), "renamed");
}

}  // namespace
}  // namespace knell::source
