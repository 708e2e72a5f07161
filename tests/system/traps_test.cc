// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The kernel reports threads; a process-level listener must receive processes. Each test runs one
// of the scenarios in which events of threads mislead about processes, many times, with listeners
// of every kind: with each mask and each level of details that changes what the assembler receives
// and reads, drained at once and late, with and without `under`. The expected status is the result
// of the parent's waitpid().
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <set>

#include "support/needs.h"
#include "support/scenarios.h"
#include "support/stage.h"

namespace knell::test {
namespace {

struct Listening {
  uint32_t mask;
  uint32_t details;
  int64_t latency_ns;
  bool under;  // the listener has --under; else the test selects events by pid
  uint32_t via = KNELL_VIA_CONNECTOR;

  std::string text() const {
    return events_text(mask) + ", details " + (details == KNELL_DETAILS_FULL ? "full" : "status") +
           ", latency " + std::to_string(latency_ns / 1'000'000) + " ms" +
           (under ? ", under" : "") + ", via " + knell_via_name(via);
  }
  bool traced() const { return via == KNELL_VIA_PTRACE; }
  Recorder::Wish wish(const Stage& stage) const {
    Recorder::Wish wish{
        .events = mask, .details = details, .latency_ns = latency_ns, .via = knell_via_name(via)};
    if (under && !traced()) wish.matches = {{"under", stage.name()}};
    return wish;
  }
  bool wants_zero_exits() const { return (mask & KNELL_EVENT_EXIT) != 0; }
};

// The kinds of listeners to test. KNELL_TEST_VIA: only those of this source.
std::vector<Listening> every_kind() {
  std::vector<Listening> kinds;
  for (const uint32_t mask : {KNELL_EVENT_EXIT, KNELL_EVENT_NONZERO_EXIT, KNELL_EVENT_ALL}) {
    for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_FULL}) {
      for (const int64_t latency_ns : {0, 10'000'000}) {
        for (const bool under : {false, true}) {
          const bool full = details == KNELL_DETAILS_FULL, at_once = latency_ns == 0;
          // In a guest only the kernel is tested, which does not depend on the latency or on
          // `under`.
          if (in_vm() && at_once != under) continue;
          kinds.push_back({mask, details, latency_ns, under});
          // Loading the programs takes long, most of all under emulation: only one latency for each
          // mask and level of details, in total as often at once as late.
          const bool once = at_once == under && at_once == (full != (mask == KNELL_EVENT_ALL));
          const bool taken = in_vm() ? mask != KNELL_EVENT_EXIT && at_once && under && full : once;
          if (lacks_bpf().empty() && taken)
            kinds.push_back({mask, details, latency_ns, under, KNELL_VIA_BPF});
          // The tracer reports only the processes that it traces, as with `under`; masks and levels
          // do not change that.
          if (under && at_once && full && (!in_vm() || mask == KNELL_EVENT_ALL))
            kinds.push_back({mask, details, latency_ns, under, KNELL_VIA_PTRACE});
        }
      }
    }
  }
  if (const char* only = std::getenv("KNELL_TEST_VIA"); only != nullptr)
    std::erase_if(kinds, [&](const Listening& kind) {
      return std::strcmp(knell_via_name(kind.via), only) != 0;
    });
  return kinds;
}

// The minimum and the maximum number of exits that `kind` must receive.
std::pair<size_t, size_t> exits_owed(const Listening& kind, const Fate& fate) {
  if (fate.status != 0 || kind.wants_zero_exits()) return {1, 1};
  return {0, fate.also > 0 ? 1 : 0};
}

// A listener that stores processes knows the parent at the fork. Other listeners get the parent
// that the kernel reports at the exit: perhaps a reaper, and 0 for a thread and for a process that
// was reaped before its exit was sent.
bool parent_is_right(const Listening& kind, const Fate& fate, pid_t ppid) {
  if (kind.via == KNELL_VIA_BPF) return ppid == fate.parent;  // the parent at the time of its death
  if (kind.traced()) return ppid == fate.born_of;
  return kind.details == KNELL_DETAILS_STATUS ? ppid == fate.parent || ppid == 0
                                              : ppid == fate.born_of;
}

void expect_exit(const Listening& kind, const Fate& fate, const Recorder& recorder) {
  const std::vector<Seen> exits = recorder.of(fate.pid, KNELL_EVENT_EXIT);
  const auto [least, most] = exits_owed(kind, fate);
  EXPECT_GE(exits.size(), least) << text_of(fate) << ", seen:\n" << text_of(recorder.of(fate.pid));
  EXPECT_LE(exits.size(), most) << text_of(fate) << ", seen:\n" << text_of(recorder.of(fate.pid));
  for (const Seen& exit : exits) {
    EXPECT_TRUE(exit.status() == fate.status || (fate.also >= 0 && exit.status() == fate.also))
        << text_of(fate) << ", seen:\n"
        << exit.text();
    EXPECT_TRUE(parent_is_right(kind, fate, exit.raw.ppid)) << text_of(fate) << ", seen:\n"
                                                            << exit.text();
    EXPECT_EQ(exit.raw.via, kind.via);
    EXPECT_NE(exit.raw.mono_ns, 0u);
  }
}

// With ALL the whole life is reported, in order: one fork, the execs, the core dump, the exit.
void expect_life(const Listening& kind, const Fate& fate, const Recorder& recorder) {
  const std::vector<Seen> events = recorder.of(fate.pid);
  const auto count = [&](uint32_t type) {
    return std::ranges::count_if(events, [&](const Seen& e) { return e.type() == type; });
  };
  EXPECT_EQ(count(KNELL_EVENT_FORK), 1) << text_of(fate) << ", seen:\n" << text_of(events);
  EXPECT_EQ(count(KNELL_EVENT_EXEC), fate.execs) << text_of(fate) << ", seen:\n" << text_of(events);
  EXPECT_EQ(count(KNELL_EVENT_COREDUMP), kind.traced() ? 0 : fate.cores)
      << text_of(fate) << ", seen:\n"
      << text_of(events);
  if (events.empty()) return;
  EXPECT_EQ(events.front().type(), KNELL_EVENT_FORK) << text_of(events);
  EXPECT_EQ(events.front().raw.pid, fate.born_of) << text_of(fate) << ", seen:\n"
                                                  << text_of(events);
  EXPECT_EQ(events.back().type(), KNELL_EVENT_EXIT) << text_of(fate) << ", seen:\n"
                                                    << text_of(events);
}

// Every event must be of a process of the scenario: this finds threads that are reported as
// processes.
void expect_nobody_else(const Stage& stage, const std::vector<Fate>& fates,
                        const Recorder& recorder) {
  std::set<pid_t> known{stage.pid()};
  for (const Fate& fate : fates) known.insert(fate.pid);
  known.insert(stage.sentinels().begin(), stage.sentinels().end());
  for (const Seen& event : recorder.seen()) {
    const pid_t pid = event.type() == KNELL_EVENT_FORK ? event.raw.child_pid : event.pid();
    EXPECT_TRUE(known.contains(pid)) << "no process of the scenario has this pid: " << event.text();
  }
}

// Whether all expected exits were received. (Duplicates are found after one more sentinel.)
bool all_there(const Listening& kind, const std::vector<Fate>& fates, const Recorder& recorder) {
  return std::ranges::all_of(fates, [&](const Fate& fate) {
    return recorder.of(fate.pid, KNELL_EVENT_EXIT).size() >= exits_owed(kind, fate).first;
  });
}

// Begins to trace the stage if this kind of listener needs it.
void begin(const Listening& kind, const Stage& stage, Recorder& recorder) {
  ASSERT_TRUE(recorder.ok());
  if (!kind.traced()) return;
  const std::error_code refused = recorder.listener().add(stage.pid());
  ASSERT_FALSE(refused) << knell_explain();
}

void watch(const Listening& kind, const Scenario& scenario, int times) {
  SCOPED_TRACE(kind.text());
  Stage stage(scenario);
  Recorder recorder(kind.wish(stage));
  ASSERT_NO_FATAL_FAILURE(begin(kind, stage, recorder));
  std::vector<Fate> fates;
  for (int i = 0; i < times; i++) {
    // Every second time nothing is read until the scenario has ended, as by a reader that is late.
    const std::vector<Fate> some = i % 2 == 0 ? stage.play(recorder) : stage.play_unread();
    ASSERT_FALSE(some.empty());
    fates.insert(fates.end(), some.begin(), some.end());
  }
  ASSERT_TRUE(stage.sentinel(recorder));
  (void)recorder.read_until([&] { return all_there(kind, fates, recorder); });
  ASSERT_TRUE(stage.sentinel(recorder));
  EXPECT_TRUE(recorder.of_type(KNELL_EVENT_LOST).empty());
  for (const Fate& fate : fates) {
    expect_exit(kind, fate, recorder);
    if (kind.mask == KNELL_EVENT_ALL) expect_life(kind, fate, recorder);
    if (testing::Test::HasFailure()) return;  // the first failure ends the test
  }
  if (kind.under) expect_nobody_else(stage, fates, recorder);
}

// Runs the scenario `times` times for each kind of listener. At the first kind that fails, prints
// its events and stops.
void watch_by_every_kind(const Scenario& scenario, int times) {
  KNELL_NEEDS(lacks_connector());
  for (const Listening& kind : every_kind()) {
    watch(kind, scenario, std::max(2, repetitions(times)));
    if (testing::Test::HasFailure()) return;
  }
}

constexpr int kFew = 4;    // for scenarios with only one possible order of events
constexpr int kMany = 30;  // for scenarios with several possible orders

std::vector<Fate> watched_once(Stage& stage, Recorder& recorder) {
  std::vector<Fate> fates = stage.play(recorder);
  EXPECT_TRUE(stage.sentinel(recorder));
  return fates;
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// plain lives

TEST(Traps, ExitWithZero) { watch_by_every_kind(scenario::ends_with(0), kMany); }
TEST(Traps, ExitWithThree) { watch_by_every_kind(scenario::ends_with(3), kMany); }
TEST(Traps, ExitWith255) { watch_by_every_kind(scenario::ends_with(255), kFew); }
TEST(Traps, KilledBySigterm) { watch_by_every_kind(scenario::killed_by(SIGTERM), kFew); }
TEST(Traps, KilledByARealTimeSignal) {
  watch_by_every_kind(scenario::killed_by(SIGRTMIN + 3), kFew);
}
TEST(Traps, Vfork) { watch_by_every_kind(scenario::forked_with_vfork, kMany); }
TEST(Traps, VforkThenExec) { watch_by_every_kind(scenario::vfork_then_exec(3), kFew); }
TEST(Traps, PosixSpawn) { watch_by_every_kind(scenario::posix_spawned(4), kFew); }
TEST(Traps, PosixSpawnOfASuccess) { watch_by_every_kind(scenario::posix_spawned(0), kFew); }
TEST(Traps, FailedExecIsNoEvent) { watch_by_every_kind(scenario::failed_exec, kFew); }
TEST(Traps, ScriptIsOneExec) {
  const TemporaryDirectory directory;
  watch_by_every_kind(scenario::script(directory.path()), kFew);
}
TEST(Traps, CloneWithoutExitSignal) {
  watch_by_every_kind(scenario::cloned_with_exit_signal(0), kMany);
}
TEST(Traps, CloneWithAnotherExitSignal) {
  watch_by_every_kind(scenario::cloned_with_exit_signal(SIGUSR1), kMany);
}
TEST(Traps, CloneParent) { watch_by_every_kind(scenario::cloned_as_sibling, kMany); }
TEST(Traps, AutoReapedChildren) { watch_by_every_kind(scenario::reaped_by_the_kernel, kMany); }
TEST(Traps, AutoReapedByNocldwait) {
  watch_by_every_kind(scenario::reaped_by_the_kernel_with_nocldwait, kMany);
}
TEST(Traps, DoubleFork) { watch_by_every_kind(scenario::orphans, kMany); }
// An orphan's parent is the process that created it, if the listener stored that, and not its
// reaper. A listener that stores nothing gets the parent that the kernel reports: the reaper,
// unless the orphan was reaped before its exit was sent.
TEST(Traps, ParentOfAnOrphan) {
  KNELL_NEEDS(lacks_connector());
  for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_FULL}) {
    Stage stage(scenario::orphans);
    Recorder recorder({.events = KNELL_EVENT_EXIT, .details = details});
    int borne = 0, reaped = 0;
    for (int i = 0; i < repetitions(kMany); i++) {
      const std::vector<Fate> fates = stage.play(recorder);
      ASSERT_EQ(fates.size(), 2u);
      ASSERT_TRUE(recorder.read_until_exit_of(fates[1].pid));
      const pid_t ppid = recorder.of(fates[1].pid).back().raw.ppid;
      borne += ppid == fates[1].born_of ? 1 : 0;
      reaped += ppid == stage.pid() ? 1 : 0;
    }
    if (details == KNELL_DETAILS_STATUS)
      EXPECT_GT(reaped, repetitions(kMany) / 2);
    else
      EXPECT_EQ(borne, repetitions(kMany));
  }
}

TEST(Traps, InitOfAPidNamespace) {
  KNELL_NEEDS(lacks_root());
  watch_by_every_kind(scenario::init_of_a_pid_namespace, kFew);
}

// ----------------------------------------------------------------------------------------------------
// threads

TEST(Traps, ThreadsAreNotProcesses) { watch_by_every_kind(scenario::threads_come_and_go, kFew); }
TEST(Traps, WorkerExitsTheProcess) { watch_by_every_kind(scenario::worker_exits_process, kMany); }
TEST(Traps, MainExitsWithWorkersAlive) {
  watch_by_every_kind(scenario::main_exits_with_workers_alive, kMany);
}
TEST(Traps, LeaderLeavesFirstThenAWorkerFails) {
  watch_by_every_kind(scenario::leader_leaves_first, kMany);
}
TEST(Traps, LeaderLeavesByPthreadExitThenAWorkerFails) {
  watch_by_every_kind(scenario::leader_leaves_first_by_pthread_exit, kMany);
}
TEST(Traps, LeaderLeavesFirstThenAWorkerSucceeds) {
  watch_by_every_kind(scenario::leader_leaves_first_then_all_is_well, kMany);
}
TEST(Traps, LeaderLeavesWithFourWorkerExitsWithNine) {
  watch_by_every_kind(scenario::leader_leaves_with_four_worker_exits_nine, kMany);
}
TEST(Traps, BothLeaveLeaderFirst) { watch_by_every_kind(scenario::both_leave_leader_first, kMany); }
TEST(Traps, BothLeaveWorkerFirst) { watch_by_every_kind(scenario::both_leave_worker_first, kMany); }
TEST(Traps, WorkerLeavesWithFiveProcessExitsWithZero) {
  watch_by_every_kind(scenario::worker_leaves_with_five_process_exits_zero, kMany);
}
TEST(Traps, LeaderLeavesWithFiveWorkerExitsWithZero) {
  watch_by_every_kind(scenario::leader_leaves_with_five_worker_exits_zero, kMany);
}
TEST(Traps, SigkillOfFiftyThreads) {
  watch_by_every_kind(scenario::sigkill_of_fifty_threads, kMany);
}
TEST(Traps, ExecFromAWorkerThatSucceeds) {
  watch_by_every_kind(scenario::exec_from_a_worker(0), kMany);
}
TEST(Traps, ExecFromAWorkerThatFails) {
  watch_by_every_kind(scenario::exec_from_a_worker(5), kMany);
}
TEST(Traps, ExecFromTheLeaderOfMany) {
  watch_by_every_kind(scenario::exec_from_the_leader_of_many(5), kFew);
}
TEST(Traps, CoreInAWorkerWithoutAFile) {
  const TemporaryDirectory directory;
  watch_by_every_kind(scenario::core_in_a_worker(directory.path(), scenario::CoreFile::kNo), kMany);
}
TEST(Traps, CoreInAWorker) {
  KNELL_NEEDS(lacks_core_files());
  const TemporaryDirectory directory;
  watch_by_every_kind(scenario::core_in_a_worker(directory.path(), scenario::CoreFile::kYes), kFew);
}
TEST(Traps, CoreOfASingleThread) {
  KNELL_NEEDS(lacks_core_files());
  const TemporaryDirectory directory;
  watch_by_every_kind(scenario::core_in_the_leader(directory.path(), scenario::CoreFile::kYes),
                      kFew);
}

// If the parent reaps the process late, knell can read the status from the kernel. Then the
// reported status does not depend on the order of events: it is the one that waitpid will report,
// whatever the threads did before.
TEST(Traps, StatusIsExactUntilItIsReaped) {
  KNELL_NEEDS(lacks_connector());
  const Scenario scenarios[] = {scenario::leader_leaves_first,
                                scenario::leader_leaves_first_then_all_is_well,
                                scenario::leader_leaves_with_four_worker_exits_nine,
                                scenario::both_leave_leader_first,
                                scenario::both_leave_worker_first,
                                scenario::both_leave_together,
                                scenario::worker_leaves_with_five_process_exits_zero,
                                scenario::leader_leaves_with_five_worker_exits_zero,
                                scenario::worker_exits_process,
                                scenario::threads_come_and_go,
                                scenario::sigkill_of_fifty_threads,
                                scenario::exec_from_a_worker(5)};
  for (const Listening& kind : every_kind()) {
    // these processes are children of this process, which cannot trace itself
    if (kind.traced()) continue;
    SCOPED_TRACE(kind.text());
    Recorder::Wish wish{.events = kind.mask,
                        .details = kind.details,
                        .latency_ns = kind.latency_ns,
                        .via = knell_via_name(kind.via)};
    if (kind.under) wish.matches = {{"under", std::to_string(::getpid())}};
    Recorder recorder(wish);
    ASSERT_TRUE(recorder.ok());
    std::vector<Fate> fates;
    set_before_reaping([&](pid_t pid, int status) {
      if (status == 0 && !kind.wants_zero_exits()) return;
      EXPECT_TRUE(recorder.read_until_exit_of(pid)) << "of " << pid << ", status " << status;
    });
    for (const Scenario& scenario : scenarios) scenario(fates);
    set_before_reaping({});
    for (const Fate& fate : fates) {
      const std::vector<Seen> exits = recorder.of(fate.pid, KNELL_EVENT_EXIT);
      const bool owed = fate.status != 0 || kind.wants_zero_exits();
      if (!owed && fate.also > 0) continue;  // docs/limits.md: its zero exit cannot be received
      EXPECT_EQ(exits.size(), owed ? 1u : 0u) << text_of(fate) << ", seen:\n" << text_of(exits);
      for (const Seen& exit : exits)
        EXPECT_EQ(exit.status(), fate.status) << text_of(fate) << exit.text();
    }
    if (HasFailure()) return;
  }
}

// Two threads that exit at the same time: the order of their events is not that of their deaths.
// There must be one exit, with the status of one of the two; of a process that was already reaped
// the kernel cannot be asked which.
TEST(Traps, BothLeaveTogether) {
  KNELL_NEEDS(lacks_connector());
  for (const Listening& kind : every_kind()) {
    SCOPED_TRACE(kind.text());
    Stage stage(scenario::both_leave_together);
    Recorder recorder(kind.wish(stage));
    ASSERT_NO_FATAL_FAILURE(begin(kind, stage, recorder));
    std::vector<Fate> fates;
    for (int i = 0; i < repetitions(kMany); i++) fates.push_back(stage.play(recorder).at(0));
    ASSERT_TRUE(stage.sentinel(recorder));
    (void)recorder.read_until([&] { return all_there(kind, fates, recorder); });
    ASSERT_TRUE(stage.sentinel(recorder));
    for (const Fate& fate : fates) {
      const std::vector<Seen> exits = recorder.of(fate.pid, KNELL_EVENT_EXIT);
      ASSERT_EQ(exits.size(), 1u) << text_of(fate) << ", seen:\n" << text_of(recorder.of(fate.pid));
      EXPECT_TRUE(!exits[0].status() || *exits[0].status() == 0x300 || *exits[0].status() == 0x400)
          << text_of(fate) << ", seen:\n"
          << exits[0].text();
    }
  }
}

// ------------------------------------------------------------------------------------------------
// other events

namespace {

// Runs the scenario once with a listener for all events; returns the events of its only process.
std::vector<Seen> life_of(const Scenario& scenario, pid_t* ret_stage = nullptr) {
  Stage stage(scenario);
  Recorder recorder({.matches = {{"under", stage.name()}}});
  if (ret_stage != nullptr) *ret_stage = stage.pid();
  const std::vector<Fate> fates = watched_once(stage, recorder);
  return fates.empty() ? std::vector<Seen>() : recorder.of(fates[0].pid);
}

Scenario living(const std::function<int()>& body) {
  return [=](std::vector<Fate>& fates) {
    const pid_t pid = fork_running(body);
    fates.push_back({.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = reap(pid)});
  };
}

std::vector<Seen> only(std::vector<Seen> events, uint32_t type) {
  std::erase_if(events, [&](const Seen& e) { return e.type() != type; });
  return events;
}

// A process that a tracer seizes and releases; it then exits.
void traced_for_a_while(std::vector<Fate>& fates) {
  Pipe go = make_pipe();
  const pid_t pid = fork_running([&] {
    char byte;
    return ::read(go.read.get(), &byte, 1) == 1 ? 11 : 1;
  });
  int status;
  if (::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) != 0) std::abort();
  if (::waitpid(pid, &status, __WALL) != pid) std::abort();
  if (::ptrace(PTRACE_DETACH, pid, nullptr, nullptr) != 0) std::abort();
  if (::write(go.write.get(), "", 1) != 1) std::abort();
  fates.push_back({.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = reap(pid)});
}

}  // namespace

TEST(Traps, ChangedIdsAreReported) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_root());
  const std::vector<Seen> life = life_of(living([] {
    return ::setresgid(65533, 65532, 0) == 0 && ::setresuid(65531, 65530, 0) == 0 ? 2 : 1;
  }));
  const std::vector<Seen> gid = only(life, KNELL_EVENT_GID), uid = only(life, KNELL_EVENT_UID);
  ASSERT_EQ(gid.size(), 1u) << text_of(life);
  EXPECT_EQ(gid[0].raw.rgid, 65533u);
  EXPECT_EQ(gid[0].raw.egid, 65532u);
  ASSERT_EQ(uid.size(), 1u) << text_of(life);
  EXPECT_EQ(uid[0].raw.ruid, 65531u);
  EXPECT_EQ(uid[0].raw.euid, 65530u);
  EXPECT_EQ(life.back().status(), std::optional<int>(0x200)) << text_of(life);
}

TEST(Traps, IdSetToItsValueIsNoEvent) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Seen> life = life_of(living([] { return ::setuid(::getuid()) == 0 ? 2 : 1; }));
  EXPECT_TRUE(only(life, KNELL_EVENT_UID).empty()) << text_of(life);
}

TEST(Traps, SetsidIsReportedSetpgidIsNot) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Seen> session = life_of(living([] { return ::setsid() > 0 ? 2 : 1; }));
  EXPECT_EQ(only(session, KNELL_EVENT_SID).size(), 1u) << text_of(session);
  const std::vector<Seen> group = life_of(living([] { return ::setpgid(0, 0) == 0 ? 2 : 1; }));
  EXPECT_TRUE(only(group, KNELL_EVENT_SID).empty()) << text_of(group);
}

TEST(Traps, NewNameIsReported) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Seen> life =
      life_of(living([] { return ::prctl(PR_SET_NAME, "a new (name) x_16") == 0 ? 2 : 1; }));
  const std::vector<Seen> named = only(life, KNELL_EVENT_COMM);
  ASSERT_EQ(named.size(), 1u) << text_of(life);
  EXPECT_EQ(named[0].new_comm, "a new (name) x_");  // 15 bytes and a NUL: the kernel truncates
  EXPECT_EQ(life.back().comm, "a new (name) x_") << text_of(life);
}

TEST(Traps, ExecIsNoRename) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Seen> life = life_of(scenario::posix_spawned(4));
  EXPECT_TRUE(only(life, KNELL_EVENT_COMM).empty()) << text_of(life);
  const std::optional<std::string> comm = life.back().comm;  // unknown if it was not read in time
  EXPECT_TRUE(!comm || *comm == "exit_with") << text_of(life);
}

TEST(Traps, TracerComesAndGoes) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_root());
  pid_t tracer = 0;
  const std::vector<Seen> life = life_of(traced_for_a_while, &tracer);
  const std::vector<Seen> traced = only(life, KNELL_EVENT_PTRACE);
  ASSERT_EQ(traced.size(), 2u) << text_of(life);
  EXPECT_EQ(traced[0].raw.tracer_pid, tracer);
  EXPECT_EQ(traced[1].raw.tracer_pid, 0);
  EXPECT_EQ(only(life, KNELL_EVENT_EXIT).size(), 1u) << text_of(life);
}

// --------------------------------------------------------------------------------------------------
// raw level

namespace {

// The thread-level events of one play: exits and execs of threads, forks too.
struct RawStory {
  Fate fate;
  std::vector<Seen> events;
  std::vector<Seen> exits, execs, thread_forks;
};

RawStory raw_story(const Scenario& scenario, uint32_t mask = KNELL_EVENT_ALL) {
  Stage stage(scenario);
  Recorder recorder({.events = mask, .details = KNELL_DETAILS_STATUS, .level = KNELL_LEVEL_RAW});
  RawStory story;
  const std::vector<Fate> fates = watched_once(stage, recorder);
  if (fates.empty()) return story;
  story.fate = fates[0];
  story.events = recorder.of(fates[0].pid);
  story.exits = only(story.events, KNELL_EVENT_EXIT);
  story.execs = only(story.events, KNELL_EVENT_EXEC);
  story.thread_forks = only(story.events, KNELL_EVENT_FORK);
  std::erase_if(story.thread_forks,
                [](const Seen& e) { return e.raw.child_pid == e.raw.child_tid; });
  return story;
}

}  // namespace

TEST(RawLevel, LeaderThatLeavesFirstHasItsOwnExit) {
  KNELL_NEEDS(lacks_connector());
  const RawStory story = raw_story(scenario::leader_leaves_first);
  ASSERT_EQ(story.exits.size(), 2u) << text_of(story.events);
  EXPECT_EQ(story.exits[0].raw.tid, story.fate.pid);
  EXPECT_EQ(story.exits[0].status(), std::optional<int>(0));
  EXPECT_NE(story.exits[1].raw.tid, story.fate.pid);
  EXPECT_EQ(story.exits[1].status(), std::optional<int>(0x700));
  EXPECT_EQ(story.exits[0].raw.exit_signal, static_cast<uint32_t>(SIGCHLD));
  EXPECT_EQ(story.exits[1].raw.exit_signal, UINT32_MAX);
}

TEST(RawLevel, SigkillOfFiftyThreadsIsFiftyExits) {
  KNELL_NEEDS(lacks_connector());
  const RawStory story = raw_story(scenario::sigkill_of_fifty_threads, KNELL_EVENT_NONZERO_EXIT);
  EXPECT_EQ(story.exits.size(), 50u) << text_of(story.events);
  std::set<int> threads;
  for (const Seen& exit : story.exits) {
    EXPECT_EQ(exit.status(), std::optional<int>(SIGKILL));
    threads.insert(exit.raw.tid);
  }
  EXPECT_EQ(threads.size(), 50u);
}

TEST(RawLevel, ThreadsAreForkedAndExit) {
  KNELL_NEEDS(lacks_connector());
  const RawStory story = raw_story(scenario::threads_come_and_go);
  EXPECT_EQ(story.thread_forks.size(), 10u) << text_of(story.events);
  EXPECT_EQ(story.exits.size(), 11u) << text_of(story.events);
}

TEST(RawLevel, ExecFromAWorkerLooksLikeADeathOfTheLeader) {
  KNELL_NEEDS(lacks_connector());
  const RawStory story = raw_story(scenario::exec_from_a_worker(5));
  ASSERT_EQ(story.execs.size(), 1u) << text_of(story.events);
  std::vector<Seen> of_leader = story.exits;
  std::erase_if(of_leader, [&](const Seen& e) { return e.raw.tid != story.fate.pid; });
  ASSERT_EQ(of_leader.size(), 2u) << text_of(story.events);
  EXPECT_LT(of_leader[0].raw.seq, story.execs[0].raw.seq);
  EXPECT_EQ(of_leader[0].status(), std::optional<int>(0));
  EXPECT_GT(of_leader[1].raw.seq, story.execs[0].raw.seq);
  EXPECT_EQ(of_leader[1].status(), std::optional<int>(0x500));
}

TEST(RawLevel, NonzeroExitAloneLeavesZeroExitsOut) {
  KNELL_NEEDS(lacks_connector());
  const RawStory story = raw_story(scenario::leader_leaves_first, KNELL_EVENT_NONZERO_EXIT);
  ASSERT_EQ(story.events.size(), 1u) << text_of(story.events);
  EXPECT_EQ(story.events[0].status(), std::optional<int>(0x700));
}

}  // namespace knell::test
