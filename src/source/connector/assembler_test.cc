// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/assembler.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "filter/rule.h"
#include "process/fake_proc.h"
#include "process/gone_timer.h"
#include "source/output_for_test.h"

namespace knell::source {
namespace {

constexpr uint32_t kExitBit = KNELL_EVENT_EXIT;

class FakeProbe : public ProcessProbe {
 public:
  std::map<int32_t, Sign> signs;  // absent: gone
  std::map<int32_t, int32_t> statuses;
  std::map<int32_t, int> probed;
  Sign probe(int32_t pid, uint64_t, UniqueFd& pidfd) override {
    ++probed[pid];
    const auto sign = signs.find(pid);
    if (sign == signs.end()) return Sign::kGone;
    if (!pidfd) pidfd = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return sign->second;
  }
  std::optional<int32_t> status(int32_t pid, const UniqueFd&) override {
    const auto known = statuses.find(pid);
    return known == statuses.end() ? std::nullopt : std::optional(known->second);
  }
  bool watch(int32_t, int) override { return true; }
  bool exists(int32_t pid) override { return signs.contains(pid); }
};

class FilteredOutput : public KeptOutput {
 public:
  using KeptOutput::KeptOutput;
  uint32_t types() const override { return shown | KNELL_EVENT_LOST; }
  bool wants(Slot& slot, const filter::Ancestry&) override {
    return filter::passes(filter::Rule::kReleased, shown, slot.event);
  }
  void on_process_begun(int32_t pid, uint64_t, bool) override { begun.push_back(pid); }
  std::vector<int32_t> begun;
  std::vector<int32_t> overs() const {
    std::vector<int32_t> pids;
    for (const Ended& one : ended) pids.push_back(one.pid);
    return pids;
  }
};

event::Raw fork_of(int32_t child, int32_t parent, uint64_t at, int32_t tid = 0) {
  event::Raw raw;
  raw.what = KNELL_EVENT_FORK;
  raw.stamp_ns = at;
  raw.pid = child;
  raw.tid = tid == 0 ? child : tid;
  raw.u.fork = {parent, parent};
  return raw;
}

event::Raw exit_of(int32_t pid, uint32_t code, uint64_t at, int32_t tid = 0) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXIT;
  raw.stamp_ns = at;
  raw.pid = pid;
  raw.tid = tid == 0 ? pid : tid;
  raw.u.exit = {code, 17, 1, 1};
  return raw;
}

event::Raw exec_of(int32_t pid, uint64_t at) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXEC;
  raw.stamp_ns = at;
  raw.pid = raw.tid = pid;
  return raw;
}

class AssemblerTest : public ::testing::Test {
 protected:
  using Seen = std::vector<std::string>;
  // Runs one drain. Returns "pid:status" for exits, "fork:child", "exec:pid", ...
  std::vector<std::string> drain(const std::vector<event::Raw>& raws,
                                 const std::vector<event::Raw>& last_words = {}) {
    return drain_some(raws, last_words, true);
  }
  // `all`: the drain left the source empty.
  std::vector<std::string> drain_some(const std::vector<event::Raw>& raws,
                                      const std::vector<event::Raw>& last_words = {},
                                      bool all = false) {
    Assembler& n = assembler();
    output.out.begin_drain();
    for (const auto& raw : raws) n.on_raw(raw);
    if (n.probe_exits() > 0)
      for (const auto& raw : last_words) n.on_raw(raw);
    if (all) n.set_read_until(clock.now_ns);
    n.finish();
    std::vector<std::string> seen;
    for (size_t i = 0; i < batch.size(); ++i) {
      const knell_event& e = batch[i].event;
      if (!batch[i].ready) continue;
      std::string text;
      if (e.type == kExitBit) {
        text = std::to_string(e.pid) + ":" +
               ((e.has & KNELL_HAS_STATUS) != 0 ? std::to_string(e.wait_status) : std::string("?"));
        if (e.args.data != nullptr) text += " " + std::string(e.args.data);
        if ((e.flags & KNELL_FLAG_DETAILS_LOST) != 0) text += " details lost";
      } else if (e.type == KNELL_EVENT_FORK) {
        text = "fork:" + std::to_string(e.child_pid);
      } else if (e.type == KNELL_EVENT_EXEC) {
        text = "exec:" + std::to_string(e.pid);
      } else {
        text = "other";
      }
      seen.push_back(text);
    }
    batch.clear();
    return seen;
  }
  Assembler& assembler() {
    if (!assembler_) {
      reader_ = tree.reader();
      assembler_.emplace(options, output.out, *reader_, probe);
      EXPECT_TRUE(assembler_->set_request(request, reported_types));
    }
    return *assembler_;
  }
  void only_nonzero() {
    reported_types = KNELL_EVENT_NONZERO_EXIT;
    output.shown = KNELL_EVENT_NONZERO_EXIT;
    if (!assembler_) return;
    EXPECT_TRUE(assembler_->set_request(request, reported_types));
  }
  // As for exits with status details: forks are reported to count threads, EXEC events are not.
  void without_execs() {
    request.details = KNELL_DETAILS_STATUS;
    reported_types = kExitBit | KNELL_EVENT_FORK;
  }
  // The EXIT of a leader with one thread, read when the process is dead. It ended with 0x300.
  void leader_exits_without_execs() {
    without_execs();
    probe.signs[50] = ProcessProbe::Sign::kDead;
    probe.statuses[50] = 0x300;
    EXPECT_EQ(drain({fork_of(50, 1, 10, 51), exit_of(50, 0, 11)}), Seen{});
  }
  // False: too many roots.
  bool follow(const std::vector<int32_t>& roots) {
    Assembler& n = assembler();
    request.roots.clear();
    for (const int32_t root : roots) request.roots.push_back({root});
    return n.set_request(request, reported_types).has_value();
  }

  process::FakeProc tree;
  FakeClock clock;
  FakeProbe probe;
  FilteredOutput output{256, clock, 0};
  event::Batch& batch = output.batch;
  SourceRequest request{.level = KNELL_LEVEL_PROCESS, .details = KNELL_DETAILS_FULL};
  uint32_t reported_types = KNELL_EVENT_ALL;
  AssemblerOptions options;
  std::optional<process::ProcReader> reader_;
  std::optional<Assembler> assembler_;
};

// `sh -c 'exec true'` read too late: the name and the arguments may be of either program.
TEST_F(AssemblerTest, AnExecHasNotTheProgramOfTheNextExec) {
  tree.add(50, {.comm = "true", .cmdline = std::string("true\0", 5)});
  clock.now_ns = 1000;
  Assembler& n = assembler();
  output.out.begin_drain();
  for (const auto& raw : {fork_of(50, 1, 10), exec_of(50, 11), exec_of(50, 12)}) n.on_raw(raw);
  ASSERT_EQ(batch.size(), 3U);
  const knell_event &first = batch[1].event, &second = batch[2].event;
  EXPECT_EQ(first.comm.data, nullptr);
  EXPECT_EQ(first.args.data, nullptr);
  EXPECT_EQ(first.exe.data, nullptr);
  ASSERT_NE(second.comm.data, nullptr);
  EXPECT_EQ(std::string(second.comm.data, second.comm.size), "true");
}

// The program of the first process is read when the second process already has the pid.
TEST_F(AssemblerTest, KeepsStartsApartWhenAPidIsReusedBehindAQueuedExec) {
  constexpr uint64_t kTick = process::Timebase::kTickNs, kWithin = kTick / 2;
  drain({});
  tree.add(50, {.start = 7, .comm = "second"});
  clock.now_ns = 8 * kTick;
  Assembler& n = assembler();
  output.out.begin_drain();
  for (const auto& raw :
       {fork_of(50, 1, 6 * kTick + kWithin), exec_of(50, 6 * kTick + kWithin + 1),
        fork_of(50, 1, 7 * kTick + kWithin), exec_of(50, 7 * kTick + kWithin + 1)})
    n.on_raw(raw);
  ASSERT_EQ(batch.size(), 4U);
  EXPECT_EQ(batch[1].event.id.start, 6U);
  EXPECT_EQ(batch[2].event.child_id.start, 7U);
  EXPECT_EQ(batch[3].event.id.start, 7U);
}

TEST_F(AssemblerTest, AUidEventHasTheNewUid) {
  tree.add(50, {.uid = 0});
  drain({});
  event::Raw raw = exec_of(50, 20'000'000);
  raw.what = KNELL_EVENT_UID;
  raw.u.id = {33, 0};
  output.out.begin_drain();
  assembler().on_raw(raw);
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_EQ(batch[0].event.uid, 33U);
  EXPECT_EQ(batch[0].event.euid, 0U);
}

TEST_F(AssemblerTest, ASimpleProcessEndsOnce) {
  EXPECT_EQ(drain({fork_of(50, 1, 10), exec_of(50, 11), exit_of(50, 0x700, 12)}),
            (Seen{"fork:50", "exec:50", "50:1792"}));
  EXPECT_EQ(probe.probed[50], 0)
      << "its birth was received, and it has one thread: no probe is needed";
}

TEST_F(AssemblerTest, StatusIsThatOfAWorkerFailingAfterItsLeader) {
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  EXPECT_EQ(drain({fork_of(50, 1, 10), fork_of(50, 1, 11, 51), exit_of(50, 0, 12)}),
            (Seen{"fork:50"}));
  probe.signs.erase(50);
  EXPECT_EQ(drain({exit_of(50, 0x700, 20, 51)}), (Seen{"50:1792"}));
}

TEST_F(AssemblerTest, WaitsForTheExitOfEveryThread) {
  drain({fork_of(50, 1, 10), fork_of(50, 1, 11, 51)});
  EXPECT_EQ(drain({exit_of(50, 0, 12)}), Seen{})
      << "the process is reaped, but the EXIT of thread 51 is not read yet";
  EXPECT_NE(assembler().due_ns(), 0u);
  EXPECT_EQ(drain({exit_of(50, 0x700, 13, 51)}), (Seen{"50:1792"}));
  EXPECT_EQ(assembler().due_ns(), 0u);
}

TEST_F(AssemblerTest, WaitsForTheExitOfAThreadForALimitedTime) {
  drain({fork_of(50, 1, 10), fork_of(50, 1, 11, 51)});
  EXPECT_EQ(drain({exit_of(50, 0, 12)}), Seen{});
  clock.now_ns = assembler().due_ns() - 1;
  EXPECT_EQ(drain({}), Seen{});
  clock.now_ns += 1;
  EXPECT_EQ(drain({}), (Seen{"50:0"}));
}

TEST_F(AssemblerTest, WaitsForNoExitWhenTheKernelHasTheStatus) {
  drain({fork_of(50, 1, 10), fork_of(50, 1, 11, 51)});
  probe.signs[50] = ProcessProbe::Sign::kDead;
  probe.statuses[50] = 0x700;
  EXPECT_EQ(drain({exit_of(50, 0, 12)}), (Seen{"50:1792"}));
}

TEST_F(AssemblerTest, WaitsForExitsOfUncountedThreads) {
  tree.add(50, {.threads = 2});
  drain({});
  // A thread's birth may have been queued before /proc was read, so this may not be the last EXIT.
  EXPECT_EQ(drain({exit_of(50, 0, 11, 51), exit_of(50, 0, 12)}), Seen{});
  EXPECT_EQ(drain({exit_of(50, 0x700, 13, 52)}), (Seen{"50:1792"}));
}

// Until all of /proc was read, a leader may have threads that are not counted.
TEST_F(AssemblerTest, ProbesALeaderBeforeThreadsAreCounted) {
  request.details = KNELL_DETAILS_STATUS;
  tree.add(50, {.threads = 2});
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  reported_types = 0;
  (void)assembler();
  request.scan_later = true;
  ASSERT_TRUE(assembler().set_request(request, KNELL_EVENT_ALL));
  EXPECT_EQ(drain({exit_of(50, 0, 12)}), Seen{});
  ScanBudget all;
  EXPECT_TRUE(assembler().scan_some(all));
  EXPECT_EQ(drain({exit_of(60, 0x100, 14)}), (Seen{"60:256"}));
  EXPECT_EQ(probe.probed[60], 0) << "it certainly has no other threads";
}

TEST_F(AssemblerTest, CountsThreadsWithoutDetails) {
  request.details = KNELL_DETAILS_STATUS;
  EXPECT_EQ(drain({fork_of(50, 1, 10, 51), exit_of(50, 0, 12)}), Seen{});
  EXPECT_EQ(drain({exit_of(50, 0x700, 13, 51)}), (Seen{"50:1792"}));
  EXPECT_EQ(drain({exit_of(60, 0, 14)}), (Seen{"60:0"}));
  EXPECT_EQ(probe.probed[60], 0);
}

TEST_F(AssemblerTest, ReportsOnceAProcessFoundDeadBeforeItsExit) {
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  drain({fork_of(50, 1, 5), fork_of(50, 1, 6, 51)});
  EXPECT_EQ(drain({exit_of(50, 0, 10)}), Seen{}) << "a worker's exec; EXEC events are not received";
  clock.now_ns += 2'000'000'000;
  probe.signs[50] = ProcessProbe::Sign::kDead;
  probe.statuses[50] = 0x500;
  assembler().on_pidfd_readable(50);
  EXPECT_EQ(drain({}), (Seen{"50:1280"}));
  EXPECT_EQ(drain({exit_of(50, 0x500, clock.now_ns + 1000)}), Seen{});
}

TEST_F(AssemblerTest, ReportsAFailingWorkerWhenTheLeadersExitIsFiltered) {
  only_nonzero();
  EXPECT_EQ(drain({exit_of(50, 0x700, 20, 51)}), (Seen{"50:1792"}));
}

TEST_F(AssemblerTest, ExecFromAWorkerIsNoExit) {
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  EXPECT_EQ(
      drain({fork_of(50, 1, 10), fork_of(50, 1, 11, 51), exit_of(50, 0, 12), exec_of(50, 13)}),
      (Seen{"fork:50", "exec:50"}));
  probe.signs.erase(50);
  EXPECT_EQ(drain({exit_of(50, 0x300, 20)}), (Seen{"50:768"}));
}

// The process has ended before its events are read. Reading them takes several drains, and more
// time than the tracker waits for the last EXIT.
TEST_F(AssemblerTest, ExecFromAWorkerReadLateIsNoExit) {
  for (const auto& [sign, status] :
       {std::pair(ProcessProbe::Sign::kGone, 0), std::pair(ProcessProbe::Sign::kDead, 0x300)}) {
    SCOPED_TRACE(status);
    probe.signs[50] = sign;
    if (status != 0) probe.statuses[50] = status;
    const uint64_t then = clock.now_ns;
    clock.now_ns += 1'000'000;
    EXPECT_EQ(
        drain_some({fork_of(50, 1, then), fork_of(50, 1, then + 1, 51), exit_of(50, 0, then + 2)}),
        (Seen{"fork:50"}));
    clock.now_ns += 1'000'000'000;
    EXPECT_EQ(drain_some({exit_of(60, 0, then + 3)}), (Seen{"60:0"}));
    EXPECT_EQ(drain_some({exec_of(50, then + 4)}), (Seen{"exec:50"}));
    EXPECT_EQ(drain({exit_of(50, 0x300, then + 5)}), (Seen{"50:768"}));
    clock.now_ns += 1'000'000'000;
  }
}

// The leader may also exit before a worker calls exec. An event that was sent after the death of
// the process shows that no exec followed.
TEST_F(AssemblerTest, DecidesALeadersExitByEventsSentAfterTheDeath) {
  probe.signs[50] = ProcessProbe::Sign::kDead;
  probe.statuses[50] = 0x700;
  EXPECT_EQ(drain_some({fork_of(50, 1, 10), fork_of(50, 1, 11, 51), exit_of(50, 0, 12)}),
            (Seen{"fork:50"}));
  EXPECT_EQ(drain_some({exit_of(60, 0, clock.now_ns + 1)}), (Seen{"60:0", "50:1792"}));
}

// The death of a process is visible before its last EXIT is sent. Without EXEC events an EXIT of
// the leader may be that of a worker's exec.
TEST_F(AssemblerTest, ExecFromAWorkerWithoutExecEventsIsOneExit) {
  without_execs();
  probe.signs[50] = ProcessProbe::Sign::kDead;
  for (const int32_t status : {0, 0x300}) {
    SCOPED_TRACE(status);
    probe.statuses[50] = status;
    const uint64_t then = clock.now_ns;
    EXPECT_EQ(drain({fork_of(50, 1, then, 51), exit_of(50, 0, then + 1)}), Seen{});
    clock.now_ns += 1'000'000;
    EXPECT_EQ(drain({}), Seen{}) << "the EXIT of the worker is still to come";
    EXPECT_EQ(drain({exit_of(50, static_cast<uint32_t>(status), clock.now_ns)}),
              Seen{"50:" + std::to_string(status)});
    EXPECT_EQ(drain({}), Seen{});
    clock.now_ns += 1'000'000'000;
  }
}

TEST_F(AssemblerTest, WithoutExecEventsTheExitOfTheWorkerDecides) {
  leader_exits_without_execs();
  EXPECT_EQ(drain({exit_of(50, 0x300, 12, 51)}), Seen{"50:768"});
}

TEST_F(AssemblerTest, WithoutExecEventsALostExitDelaysTheEnd) {
  leader_exits_without_execs();
  clock.now_ns += 200'000'000;
  EXPECT_EQ(drain({}), Seen{"50:768"});
}

TEST_F(AssemblerTest, ManyKilledThreadsAreOneExit) {
  tree.add(150, {.threads = 50});
  for (const bool zeros_filtered : {false, true}) {
    SCOPED_TRACE(zeros_filtered);
    assembler_.reset();
    reported_types = zeros_filtered ? KNELL_EVENT_ALL & ~KNELL_EVENT_EXIT : KNELL_EVENT_ALL;
    std::vector<event::Raw> raws;
    for (int32_t tid = 150; tid < 200; ++tid)
      raws.push_back(exit_of(150, 9, 10, tid == 170 ? 150 : tid));
    EXPECT_EQ(drain(raws), (Seen{"150:9"}));
    EXPECT_EQ(drain({exit_of(150, 9, 1000, 201)}), Seen{}) << "a late EXIT";
  }
}

TEST_F(AssemblerTest, TheCoreBitOfAnyThreadCounts) {
  tree.add(50, {.threads = 2});
  EXPECT_EQ(drain({exit_of(50, 0x0b, 10)}, {exit_of(50, 0x8b, 11, 51)}), (Seen{"50:139"}));
}

TEST_F(AssemblerTest, AsksTheKernelWhenCodesDiffer) {
  tree.add(50, {.threads = 2});
  tree.add(60, {.threads = 2});
  probe.signs[50] = ProcessProbe::Sign::kDead;
  probe.statuses[50] = 0x400;
  EXPECT_EQ(drain({exit_of(50, 0x400, 10), exit_of(50, 0x300, 11, 51)}), (Seen{"50:1024"}));
  EXPECT_EQ(drain({exit_of(60, 0x400, 10), exit_of(60, 0x300, 11, 61)}), (Seen{"60:768"}))
      << "the kernel cannot be asked: the last code";
}

// Two threads exit together: the EXIT of the one whose code counts is sent last.
TEST_F(AssemblerTest, AsksTheKernelWhenThreadsAreNotCounted) {
  probe.signs[50] = ProcessProbe::Sign::kDead;
  probe.statuses[50] = 0x300;
  only_nonzero();
  EXPECT_EQ(drain({exit_of(50, 0x400, 10)}), (Seen{"50:768"}));
  EXPECT_EQ(drain({exit_of(50, 0x300, 11, 51)}), (Seen{}));
}

TEST_F(AssemblerTest, SuppressesASuccessAfterAFailingThread) {
  only_nonzero();
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  EXPECT_EQ(drain({exit_of(50, 0x500, 10, 51)}), Seen{});
  clock.now_ns += 2'000'000'000;
  probe.signs.erase(50);
  assembler().on_pidfd_readable(50);
  EXPECT_EQ(drain({}), Seen{});
  EXPECT_TRUE(output.overs().empty()) << "a failing EXIT may still follow";
  clock.now_ns += 1'000'000'000;
  EXPECT_EQ(drain({}), Seen{}) << "the process ended with 0, which is filtered out";
  EXPECT_EQ(output.overs(), std::vector<int32_t>{50});
}

TEST_F(AssemblerTest, ReportsAFailingExitReceivedAfterTheDeath) {
  only_nonzero();
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  EXPECT_EQ(drain({exit_of(50, 9, 10, 51)}), Seen{});
  clock.now_ns += 2'000'000'000;
  probe.signs.erase(50);
  assembler().on_pidfd_readable(50);
  EXPECT_EQ(drain({}), Seen{});
  EXPECT_EQ(drain({exit_of(50, 9, 11)}), (Seen{"50:9"}));
}

TEST_F(AssemblerTest, AShortlyLingeringThreadDoesNotHideAFailure) {
  only_nonzero();
  clock.now_ns = 1000;
  probe.signs[50] = ProcessProbe::Sign::kAlive;
  EXPECT_EQ(drain({exit_of(50, 0x1000, 10)}), Seen{});
  probe.signs.erase(50);
  assembler().on_pidfd_readable(50);
  EXPECT_EQ(drain({}), (Seen{"50:4096"}));
}

TEST_F(AssemblerTest, ReportsAFailureRatherThanALaterSuccess) {
  tree.add(50, {.threads = 2});
  EXPECT_EQ(drain({exit_of(50, 0x1000, 10), exit_of(50, 0, 11, 51)}), (Seen{"50:4096"}));
}

TEST_F(AssemblerTest, WaitsForTheExitOfTheCrashedThread) {
  tree.add(50, {.threads = 2});
  event::Raw crash;
  crash.what = KNELL_EVENT_COREDUMP;
  crash.stamp_ns = 5;
  crash.pid = 50;
  crash.tid = 51;
  output.shown = KNELL_EVENT_EXIT;
  EXPECT_EQ(drain({crash, exit_of(50, 0x0b, 10)}), Seen{});
  EXPECT_EQ(drain({exit_of(50, 0x8b, 11, 51)}), (Seen{"50:139"}));
}

TEST_F(AssemblerTest, FollowsAProcessWhoseForkIsStillQueued) {
  probe.signs[50] = ProcessProbe::Sign::kDead;
  probe.statuses[50] = 0x500;
  clock.now_ns = 1000;
  assembler().follow_exit(50, UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  EXPECT_EQ(drain({fork_of(50, 1, 10), exec_of(50, 11), exit_of(50, 0x500, 12)}),
            (Seen{"fork:50", "exec:50", "50:1280 details lost"}));
  assembler().follow_exit(60, UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  probe.statuses[60] = 0x300;
  probe.signs[60] = ProcessProbe::Sign::kDead;
  EXPECT_EQ(drain({fork_of(60, 1, 10), exec_of(60, 11)}),
            (Seen{"fork:60", "exec:60", "60:768 details lost"}))
      << "its EXIT was before the subscription";
}

TEST_F(AssemblerTest, AReusedPidIsAnotherProcess) {
  EXPECT_EQ(drain({exit_of(50, 0x100, 10)}), (Seen{"50:256"}));
  EXPECT_EQ(drain({exit_of(50, 0x200, 20)}), (Seen{"50:512"}))
      << "a second EXIT of a leader is another process's";
  only_nonzero();
  probe.signs[70] = ProcessProbe::Sign::kAlive;
  EXPECT_EQ(drain({exit_of(70, 0x500, 10)}), Seen{});
  EXPECT_EQ(drain({fork_of(70, 1, 30)}), (Seen{"70:1280"}))
      << "a birth proves that the older process has ended";
}

TEST_F(AssemblerTest, ReportsThreadsAtRawLevelOnly) {
  EXPECT_EQ(drain({fork_of(50, 1, 10, 51), exit_of(50, 0, 11, 51)}), Seen{});
  options.level = KNELL_LEVEL_RAW;
  assembler_.reset();
  EXPECT_EQ(drain({fork_of(50, 1, 10, 51), exit_of(50, 0, 11, 51)}), (Seen{"fork:50", "50:0"}));
}

TEST_F(AssemblerTest, AForkedChildHasTheDetailsOfItsParent) {
  tree.add(
      40,
      {.ppid = 1, .start = 1, .comm = "server", .cmdline = std::string("server\0", 7), .uid = 5});
  drain({fork_of(50, 40, clock.now_ns)});
  Assembler& n = assembler();
  output.out.begin_drain();
  n.on_raw(exit_of(50, 0x100, clock.now_ns + 5));
  ASSERT_EQ(batch.size(), 1U);
  const knell_event& e = batch[0].event;
  EXPECT_STREQ(e.args.data, "server");
  EXPECT_EQ(std::string(e.comm.data, e.comm.size), "server");
  EXPECT_EQ(std::string(e.parent_comm.data, e.parent_comm.size), "server");
  EXPECT_EQ(std::string(e.unit.data, e.unit.size), "test.service");
  EXPECT_EQ(e.ppid, 40);
  EXPECT_EQ(e.uid, 5U);
  EXPECT_EQ(e.duration_ns, 5U);
  EXPECT_EQ(e.parent_id.kind, static_cast<uint32_t>(KNELL_ID_START));
}

TEST_F(AssemblerTest, DetailsAreUnknownAfterAnExecThatWasNotRead) {
  tree.add(40, {.ppid = 1, .start = 1, .comm = "server", .cmdline = std::string("server\0", 7)});
  Assembler& n = assembler();
  output.out.begin_drain();
  n.on_raw(fork_of(50, 40, clock.now_ns));
  n.on_raw(exec_of(50, clock.now_ns + 1));
  n.on_raw(exit_of(50, 0x100, clock.now_ns + 2));
  const knell_event& e = batch[batch.size() - 1].event;
  EXPECT_EQ(e.type, kExitBit);
  EXPECT_EQ(e.args.data, nullptr) << "the inherited details are wrong after an exec";
  EXPECT_EQ(e.comm.data, nullptr);
}

TEST_F(AssemblerTest, StoresNoProcessesWithDetailsStatus) {
  request.details = KNELL_DETAILS_STATUS;
  tree.add(50, {.start = 1, .cmdline = std::string("x\0", 2)});
  EXPECT_EQ(drain({exit_of(50, 0x100, clock.now_ns)}), (Seen{"50:256"}));
  EXPECT_EQ(assembler().table().size(), 0U);
}

TEST_F(AssemblerTest, SweepsProcessesThatEndedWithoutAnEvent) {
  only_nonzero();
  Assembler& n = assembler();
  output.out.begin_drain();
  for (int32_t pid = 100; pid < 200; ++pid) n.on_raw(fork_of(pid, 1, 10));
  EXPECT_EQ(n.table().size(), 100U);
  probe.signs[150] = ProcessProbe::Sign::kAlive;
  for (int i = 0; i < 100; ++i) n.sweep(4);
  EXPECT_EQ(n.table().size(), 100U) << "their events may still follow";
  clock.now_ns += 2 * process::GoneTimer::kGoneNs;
  for (int i = 0; i < 100; ++i) n.sweep(4);
  EXPECT_EQ(n.table().size(), 1U);
}

TEST_F(AssemblerTest, UnderFollowsBirthsAndReparenting) {
  Assembler& n = assembler();
  EXPECT_TRUE(follow(std::vector{50}));
  output.out.begin_drain();
  n.on_raw(fork_of(51, 50, 10));
  n.on_raw(fork_of(52, 51, 11));
  n.on_raw(exit_of(51, 0, 12));
  n.on_raw(fork_of(53, 52, 13));
  knell_event event{};
  const auto inside = [&](int32_t pid) {
    event.pid = pid;
    return n.table().is_under({50}, event);
  };
  EXPECT_TRUE(inside(50) && inside(52) && inside(53));
  EXPECT_FALSE(inside(51)) << "the process has ended";
  n.on_raw(fork_of(53, 1, 14));
  EXPECT_FALSE(inside(53)) << "the pid is reused, in another namespace";
}

TEST_F(AssemblerTest, ReadsProcOnlyForNewRoots) {
  Assembler& n = assembler();
  EXPECT_TRUE(follow(std::vector{50}));
  tree.add(51, {.ppid = 50});
  EXPECT_TRUE(follow(std::vector{50}));
  EXPECT_EQ(n.table().roots_of(51), 0U) << "its fork event will be received";
  EXPECT_TRUE(follow(std::vector{50, 60}));
  EXPECT_EQ(n.table().roots_of(51), n.table().roots_of(50));
}

TEST_F(AssemblerTest, RemovesRootsThatAreNotFollowedAnyMore) {
  Assembler& n = assembler();
  std::vector<int32_t> roots;
  for (int32_t i = 0; i < 64; ++i) roots.push_back(100 + i);
  EXPECT_TRUE(follow(roots));
  roots.push_back(200);
  EXPECT_FALSE(follow(roots));
  tree.add(51, {.ppid = 50});
  EXPECT_TRUE(follow(std::vector{50}));
  EXPECT_NE(n.table().roots_of(51), 0U);
  EXPECT_TRUE(follow(std::vector<int32_t>{}));
  EXPECT_EQ(n.table().roots_of(51), 0U);
}

TEST_F(AssemblerTest, ReportsExitsThatDidNotFitInTheNextBatch) {
  constexpr int32_t kCount = 200;  // exits that have no reserved slot in the stream
  std::vector<event::Raw> births, exits;
  for (int32_t pid = 1000; pid < 1000 + kCount; ++pid) {
    probe.signs[pid] = ProcessProbe::Sign::kAlive;
    births.push_back(fork_of(pid, 1, 5, pid + 5000));
    exits.push_back(exit_of(pid, 0x500, 10));
  }
  drain(births);
  EXPECT_EQ(drain(exits), Seen{}) << "each is alive after the exit of its leader";
  probe.signs.clear();
  for (int32_t pid = 1000; pid < 1000 + kCount; ++pid) {
    probe.statuses[pid] = 0x500;
    assembler().on_pidfd_readable(pid);
  }
  std::vector<event::Raw> others;
  for (int32_t pid = 2000; pid < 2100; ++pid) others.push_back(exec_of(pid, 20));
  const Seen first = drain({}, others);
  EXPECT_EQ(first.size(), batch.room()) << "the batch is full";
  const Seen second = drain({});
  EXPECT_EQ(first.size() + second.size(), kCount + others.size());
  EXPECT_EQ(second.back(), "1199:1280");
}

// As when the batch is full after the last read for the EXITs of a dead process.
TEST_F(AssemblerTest, ReportsANotedExitWhoseSlotWasInAnEarlierBatch) {
  Assembler& n = assembler();
  output.out.begin_drain();
  n.on_raw(fork_of(50, 1, 5, 51));
  n.on_raw(exit_of(50, 0x500, 10));
  ASSERT_TRUE(n.has_noted());
  n.drop_slots();
  batch.clear();
  probe.statuses[50] = 0x500;
  EXPECT_EQ(drain({exec_of(7, 20)}), (Seen{"exec:7", "50:1280"}));
}

TEST_F(AssemblerTest, ReadsProcAgainAfterALoss) {
  tree.add(40, {.start = 1, .comm = "old"});
  EXPECT_EQ(drain({}), Seen{});
  clock.now_ns += 2'000'000'000;
  tree.remove(40);
  tree.add(40, {.start = 90, .comm = "new"});
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = clock.now_ns;
  EXPECT_EQ(drain({hole}), (Seen{"other"}));
  Assembler& n = assembler();
  output.out.begin_drain();
  n.on_raw(exit_of(40, 0x100, clock.now_ns + 1));
  (void)n.probe_exits();
  n.finish();
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_EQ(std::string(batch[0].event.comm.data, batch[0].event.comm.size), "new");
}

// --------------------------------------------------------------------------------------- recovery

TEST_F(AssemblerTest, ReadsProcInPiecesAfterALoss) {
  constexpr int kProcesses = 1500;
  for (int pid = 1; pid <= kProcesses; ++pid) tree.add(pid, {.start = 1});
  drain({});
  for (int pid = 1; pid <= kProcesses; pid += 2) tree.remove(pid);
  clock.now_ns += 2'000'000'000;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = clock.now_ns;
  drain({hole});
  EXPECT_EQ(assembler().due_ns(), kDueNow);
  int drains = 0;
  for (; drains < 100 && assembler().due_ns() != 0; ++drains) drain({});
  EXPECT_GT(drains, 1);
  EXPECT_EQ(assembler().due_ns(), 0U);
  EXPECT_EQ(assembler().table().size(), kProcesses / 2U);
}

TEST_F(AssemblerTest, AMissedExitHasWhatIsStored) {
  tree.add(40, {.start = 1, .comm = "db", .cmdline = std::string("db\0", 3)});
  drain({});
  assembler().table().add_live(40)->start = 1;
  tree.remove(40);
  clock.now_ns += 2'000'000'000;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = clock.now_ns;
  EXPECT_EQ(drain({hole}),
            (Seen{"other"}));  // reads /proc again: 40 is in the live set, so it stays
  output.out.begin_drain();
  assembler().report_missed(
      {.type = KNELL_EVENT_EXIT, .pid = 40, .start = 1, .status = 0x700, .found_ns = clock.now_ns});
  ASSERT_EQ(batch.size(), 1U);
  const knell_event& seen = batch[0].event;
  EXPECT_EQ(std::string(seen.comm.data, seen.comm.size), "db");
  EXPECT_NE(seen.args.data, nullptr);
  EXPECT_EQ(seen.wait_status, 0x700);
  EXPECT_EQ(seen.id.start, 1U);
  EXPECT_EQ(seen.has & KNELL_HAS_DURATION, 0U);
  EXPECT_EQ(output.overs(), (std::vector<int32_t>{40}));
  assembler().table().remove_live(40);  // as the receiver of on_process_ended() does
  EXPECT_EQ(assembler().table().size(), 0U);
}

// Another process has the pid now: its details must not be used for the ended process.
TEST_F(AssemblerTest, AMissedExitHasNoDetailsOfALaterProcess) {
  tree.add(40, {.start = 50, .comm = "later"});
  clock.now_ns = 2'000'000'000;
  drain({});
  output.out.begin_drain();
  assembler().report_missed(
      {.type = KNELL_EVENT_EXIT, .pid = 40, .start = 1, .status = {}, .found_ns = clock.now_ns});
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_EQ(batch[0].event.comm.data, nullptr);
  EXPECT_EQ(batch[0].event.id.start, 1U);
  EXPECT_EQ(batch[0].event.has & KNELL_HAS_STATUS, 0U);
  EXPECT_EQ(output.overs(), (std::vector<int32_t>{40}));
  EXPECT_EQ(assembler().table().size(), 1U);
}

TEST_F(AssemblerTest, AMissedForkAndExecHaveWhatProcShows) {
  tree.add(30, {.start = 1, .comm = "parent"});
  clock.now_ns = 2'000'000'000;
  drain({});
  tree.add(40, {.ppid = 30, .start = 50, .comm = "child", .cmdline = std::string("child\0", 6)});
  output.out.begin_drain();
  assembler().report_missed({.type = KNELL_EVENT_FORK,
                             .pid = 40,
                             .ppid = 30,
                             .start = 50,
                             .status = {},
                             .found_ns = clock.now_ns});
  assembler().report_missed({.type = KNELL_EVENT_EXEC,
                             .pid = 40,
                             .ppid = 30,
                             .start = 50,
                             .status = {},
                             .found_ns = clock.now_ns});
  ASSERT_EQ(batch.size(), 2U);
  const knell_event &fork = batch[0].event, &exec = batch[1].event;
  EXPECT_EQ(fork.pid, 30);
  EXPECT_EQ(fork.child_pid, 40);
  EXPECT_EQ(fork.child_id.start, 50U);
  EXPECT_EQ(std::string(fork.comm.data, fork.comm.size), "parent");
  EXPECT_EQ(exec.pid, 40);
  EXPECT_EQ(std::string(exec.comm.data, exec.comm.size), "child");
  EXPECT_NE(exec.args.data, nullptr);
}

TEST_F(AssemblerTest, ReportsTheBeginningOfProcessesForLifetimes) {
  drain({fork_of(50, 1, 10)});
  EXPECT_TRUE(output.begun.empty());
  request.lifetimes = true;
  EXPECT_TRUE(assembler().set_request(request, reported_types));
  drain({fork_of(51, 1, 20), fork_of(51, 51, 21, 52)});
  EXPECT_EQ(output.begun, (std::vector<int32_t>{51}));
}

// ----------------------------------------------------------------------------------------- owners

// User 1000 must not receive the event of a process that became root.
TEST_F(AssemblerTest, AUidEventIsOfTheNewUser) {
  request.details = KNELL_DETAILS_STATUS;
  request.owners = true;
  tree.add(40, {.start = 1, .uid = 1000});
  drain({});
  event::Raw raw = exec_of(40, clock.now_ns);
  raw.what = KNELL_EVENT_UID;
  raw.u.id = {0, 0};
  output.out.begin_drain();
  assembler().on_raw(raw);
  EXPECT_NE(batch[0].event.has & KNELL_HAS_UID, 0U);
  EXPECT_EQ(batch[0].event.uid, 0U);
}

TEST_F(AssemblerTest, FollowsRootsWithoutDetailsAfterALoss) {
  request.details = KNELL_DETAILS_STATUS;
  tree.add(50, {.start = 1});
  tree.add(51, {.ppid = 50, .start = 2});
  EXPECT_TRUE(follow(std::vector{50}));
  clock.now_ns += 2'000'000'000;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = clock.now_ns;
  EXPECT_EQ(drain({hole}), (Seen{"other"}));
  EXPECT_NE(assembler().table().roots_of(50), 0U);
  EXPECT_EQ(assembler().table().roots_of(51), assembler().table().roots_of(50));
}

TEST_F(AssemblerTest, OwnersAreKnownAfterTheProcessIsGone) {
  request.details = KNELL_DETAILS_STATUS;
  tree.add(40, {.start = 1, .uid = 1000});
  tree.add(41, {.start = 1, .uid = 33});
  drain({});
  tree.remove(40);
  tree.remove(41);
  output.out.begin_drain();
  assembler().on_raw(exit_of(41, 0x100, clock.now_ns));
  EXPECT_EQ(batch[0].event.has & KNELL_HAS_UID, 0U) << "owners are not requested";
  tree.add(40, {.start = 1, .uid = 1000});
  request.owners = true;
  ASSERT_TRUE(assembler().set_request(request, reported_types));
  tree.remove(40);
  assembler().on_raw(fork_of(50, 40, clock.now_ns + 1));
  assembler().on_raw(exit_of(50, 0x100, clock.now_ns + 2));
  assembler().on_raw(exit_of(40, 0x100, clock.now_ns + 3));
  ASSERT_EQ(batch.size(), 4U);
  for (const size_t i : {1U, 2U, 3U}) {
    EXPECT_NE(batch[i].event.has & KNELL_HAS_UID, 0U) << i;
    EXPECT_EQ(batch[i].event.uid, 1000U) << i;
    EXPECT_EQ(batch[i].event.comm.data, nullptr) << i;
  }
  EXPECT_FALSE(batch[3].levels_known) << "namespaces are not requested";
}

class FakeBirths : public process::Births {
 public:
  bool reports_births() const override { return true; }
  Read read_births(const PassBirth& pass) override {
    ++reads;
    for (process::Birth birth : std::exchange(queued, {})) {
      birth.levels = levels;
      birth.levels_known = true;
      pass(birth);
    }
    return {.complete = !lost, .lost = std::exchange(lost, false)};
  }
  std::vector<process::Birth> queued;
  std::vector<event::NamespacePids> levels{{.ns = 70, .child_pid = 9, .child_tid = 9}};
  bool lost = false;
  int reads = 0;
};

class AssemblerWithBirths : public AssemblerTest {
 protected:
  AssemblerWithBirths() {
    options.births = &births;
    request.details = KNELL_DETAILS_STATUS;
    request.owners = request.namespaces = true;
  }
  // The next read_births() reports this birth.
  void queue_birth(int32_t pid, uint64_t stamp_ns) {
    process::Birth birth;
    birth.pid = birth.tid = pid;
    birth.start = stamp_ns / process::Timebase::kTickNs;
    birth.uid = 1000;
    birth.stamp_ns = stamp_ns;
    births.queued.push_back(birth);
  }
  FakeBirths births;
};

TEST_F(AssemblerWithBirths, HaveTheNumbersThatTheOtherSourceReports) {
  drain({});
  const uint64_t at = clock.now_ns;
  queue_birth(50, at);
  output.out.begin_drain();
  assembler().on_raw(fork_of(50, 1, at + 1));
  assembler().on_raw(exit_of(50, 0x100, at + 2));
  ASSERT_EQ(batch.size(), 2U);
  ASSERT_EQ(batch[0].levels.size(), 1U);
  EXPECT_EQ(batch[0].levels[0], (event::NamespacePids{.ns = 70, .child_pid = 9, .child_tid = 9}));
  ASSERT_EQ(batch[1].levels.size(), 1U);
  EXPECT_EQ(batch[1].levels[0], (event::NamespacePids{.ns = 70, .pid = 9, .tid = 9}));
  EXPECT_EQ(batch[1].event.uid, 1000U);
  ASSERT_EQ(output.ended.size(), 1U);
  ASSERT_EQ(output.ended[0].levels.size(), 1U);
  EXPECT_EQ(output.ended[0].levels[0].ns, 70U);
  EXPECT_EQ(output.ended[0].levels[0].pid, 9);
}

TEST_F(AssemblerWithBirths, LostBirthsMakeLevelsUnknown) {
  drain({});
  const uint64_t at = clock.now_ns;
  queue_birth(50, at);
  drain({fork_of(50, 1, at + 1)});
  clock.now_ns += 1000;
  births.lost = true;
  drain({fork_of(51, 1, clock.now_ns)});
  output.out.begin_drain();
  assembler().on_raw(exit_of(50, 0x100, clock.now_ns + 1));
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_FALSE(batch[0].levels_known);
}

TEST_F(AssemblerWithBirths, ReportThreadsWithTheirOwners) {
  options.level = request.level = KNELL_LEVEL_RAW;
  drain({});
  const uint64_t at = clock.now_ns;
  queue_birth(50, at);
  output.out.begin_drain();
  event::Raw ack;
  ack.what = KNELL_EVENT_NONE;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = at + 3;
  for (const auto& raw : {fork_of(50, 1, at + 1), exit_of(50, 0x100, at + 2), ack, hole})
    assembler().on_raw(raw);
  ASSERT_EQ(output.threads.size(), 3U) << "an ack is no event";
  for (const size_t i : {0U, 1U}) {
    EXPECT_EQ(output.threads[i].uid, 1000U);
    EXPECT_TRUE(output.threads[i].levels_known);
    ASSERT_EQ(output.threads[i].levels.size(), 1U);
    EXPECT_EQ(output.threads[i].levels[0], (event::NamespacePids{.ns = 70, .pid = 9, .tid = 9}));
  }
  EXPECT_EQ(output.threads[2].raw.what, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_FALSE(output.threads[2].uid || output.threads[2].levels_known);
}

// A birth that the other source does not report is in the initial namespace.
TEST_F(AssemblerWithBirths, ProcessesThatTheOtherSourceDoesNotReportAreOutside) {
  options.level = request.level = KNELL_LEVEL_RAW;
  drain({});
  const uint64_t at = clock.now_ns;
  clock.now_ns += 10;
  drain({fork_of(50, 1, at + 1), exit_of(50, 0x100, at + 2)});
  ASSERT_EQ(output.threads.size(), 2U);
  EXPECT_TRUE(output.threads[1].levels_known);
  EXPECT_TRUE(output.threads[1].levels.empty());
}

TEST_F(AssemblerTest, IsUrgentWhenProcMustBeReadAtOnce) {
  request.details = KNELL_DETAILS_STATUS;
  EXPECT_FALSE(assembler().is_urgent());
  request.namespaces = true;
  ASSERT_TRUE(assembler().set_request(request, reported_types));
  EXPECT_TRUE(assembler().is_urgent()) << "the numbers of a child";
  FakeBirths births;
  options.births = &births;
  assembler_.reset();
  EXPECT_FALSE(assembler().is_urgent()) << "the other source reports them";
  request.details = KNELL_DETAILS_FULL;
  ASSERT_TRUE(assembler().set_request(request, reported_types));
  EXPECT_TRUE(assembler().is_urgent()) << "the arguments of an exec";
  ASSERT_TRUE(assembler().set_request(request, KNELL_EVENT_EXIT));
  EXPECT_FALSE(assembler().is_urgent());
  assembler_.reset();
}

}  // namespace
}  // namespace knell::source
