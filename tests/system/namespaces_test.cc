// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The pids of processes in pid namespaces, as the programs in the kernel report them and as knell
// tracks them over the connector, compared with /proc while the processes live.
#include <grp.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "event/raw.h"
#include "process/levels.h"
#include "process/process_table.h"
#include "process/timebase.h"
#include "source/bpf/bpf.h"
#include "source/connector/connector.h"
#include "support/needs.h"
#include "support/nested.h"
#include "system/collector.h"

namespace knell::test {
namespace {

using Numbers = std::vector<event::NamespacePid>;

class Keeper : public SourceCollector {
 public:
  // The event of this type about this thread; FORK: about this child.
  const source::KeptEvent* find(uint32_t what, pid_t tid) const {
    for (const source::KeptEvent& one : events) {
      if (one.event.type != what) continue;
      if ((what == KNELL_EVENT_FORK ? one.event.child_tid : one.event.tid) == tid) return &one;
    }
    return nullptr;
  }
  const Birth* birth_of(pid_t tid) const {
    for (const Birth& one : births)
      if (one.birth.tid == tid) return &one;
    return nullptr;
  }
};

Numbers numbers_of(const std::vector<event::NamespacePids>& levels,
                   int32_t event::NamespacePids::* field) {
  Numbers numbers;
  for (const event::NamespacePids& level : levels) numbers.push_back({level.ns, level.*field});
  return numbers;
}

// The pid at each of the first levels; 0 at the others.
Numbers only_in_the_first(Numbers numbers, size_t levels) {
  for (size_t i = levels; i < numbers.size(); i++) numbers[i].nr = 0;
  return numbers;
}

// A pipe for one byte, by which one process tells another one to continue.
class Gate {
 public:
  void open() { KNELL_CHECK(::write(pipe_.write.get(), "x", 1) == 1); }
  void wait() {
    char byte = 0;
    KNELL_CHECK(::read(pipe_.read.get(), &byte, 1) == 1);
  }

 private:
  Pipe pipe_ = make_pipe();
};

int run_true() {
  ::execlp("true", "true", nullptr);
  return 127;
}

constexpr uint32_t kEach[] = {KNELL_EVENT_FORK, KNELL_EVENT_EXEC, KNELL_EVENT_EXIT};
constexpr uint32_t kForkExecExit = kEach[0] | kEach[1] | kEach[2];

class Levels : public ::testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_bpf());
    KNELL_NEEDS(lacks_pid_namespaces());
  }
  void open(uint32_t mask, uint32_t level = KNELL_LEVEL_PROCESS,
            uint32_t details = KNELL_DETAILS_FULL, bool namespaces = true) {
    source::SourceRequest wanted;
    wanted.mask = mask;
    wanted.level = level;
    wanted.details = details;
    wanted.roots = {{::getpid()}};
    wanted.only_under = true;
    wanted.namespaces = namespaces;
    std::string log;
    auto created = source::Bpf::create({}, wanted, keeper_.out, &log);
    ASSERT_TRUE(created) << created.error().message() << "\n" << log;
    bpf_ = *std::move(created);
  }
  const source::KeptEvent* await(uint32_t what, pid_t tid) {
    EXPECT_TRUE(keeper_.read_until(*bpf_, [&] { return keeper_.find(what, tid) != nullptr; }))
        << "no event " << what << " of " << tid;
    return keeper_.find(what, tid);
  }
  // Reads all events that were sent up to now.
  void drain_all() {
    const pid_t last = exited_child(0);
    ASSERT_NE(await(KNELL_EVENT_EXIT, last), nullptr);
  }

  Keeper keeper_;
  std::unique_ptr<source::Bpf> bpf_;
};

// ------------------------------------------------------------------------------------------------

TEST_F(Levels, ForkExecAndExitThreeDeep) {
  const Nested nested(3);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(kForkExecExit));
  Gate born, go;
  Inside parent(nested.first(3), [&] {
    Child child = Child::fork([&] {
      born.open();
      go.wait();
      return run_true();
    });
    return child.wait() == 0 ? 0 : 1;
  });
  born.wait();
  const auto children = children_of(parent.pid());
  ASSERT_EQ(children.size(), 1U);
  const pid_t child = children[0];
  const Numbers its = numbers_in_proc(child, nested);
  const Numbers parents = numbers_in_proc(parent.pid(), nested);
  ASSERT_EQ(its.size(), 3U);
  ASSERT_NE(its[0].nr, its[2].nr) << "otherwise the test is void";
  go.open();
  ASSERT_EQ(parent.wait(), 0);

  for (const uint32_t what : std::span(kEach).subspan(1)) {
    const source::KeptEvent* reported = await(what, child);
    ASSERT_NE(reported, nullptr);
    EXPECT_TRUE(reported->levels_known);
    EXPECT_EQ(numbers_of(reported->levels, &event::NamespacePids::pid), its);
    EXPECT_EQ(numbers_of(reported->levels, &event::NamespacePids::tid), its);
    EXPECT_EQ(numbers_of(reported->levels, &event::NamespacePids::ppid), parents);
  }
  const source::KeptEvent* fork = await(KNELL_EVENT_FORK, child);
  ASSERT_NE(fork, nullptr);
  EXPECT_EQ(fork->event.pid, parent.pid());
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::child_pid), its);
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::child_tid), its);
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::pid), parents);
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::ppid), only_in_the_first(parents, 0))
      << "its parent is outside";
}

TEST_F(Levels, AParentOutsideHasNoNumber) {
  const Nested nested(2);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(kForkExecExit));
  Gate go;
  Inside inside(nested.first(2), [&] {
    go.wait();
    return 3;
  });
  const Numbers its = numbers_in_proc(inside.pid(), nested);
  ASSERT_EQ(its.size(), 2U);
  go.open();
  ASSERT_TRUE(inside.wait());
  const source::KeptEvent* fork = await(KNELL_EVENT_FORK, inside.pid());
  const source::KeptEvent* exit = await(KNELL_EVENT_EXIT, inside.pid());
  ASSERT_TRUE(fork != nullptr && exit != nullptr);
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::child_pid), its);
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::pid), only_in_the_first(its, 0));
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::tid), only_in_the_first(its, 0));
  EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::pid), its);
  EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::ppid), only_in_the_first(its, 0));
}

// The first process of a namespace: its parent is only in the namespaces around it.
TEST_F(Levels, TheFirstOfEach) {
  ASSERT_NO_FATAL_FAILURE(open(kForkExecExit));
  const Nested nested(3);
  ASSERT_TRUE(nested.ok());
  const Numbers second = numbers_in_proc(nested.first(2), nested);
  const Numbers third = numbers_in_proc(nested.first(3), nested);
  const source::KeptEvent* fork = await(KNELL_EVENT_FORK, nested.first(3));
  ASSERT_NE(fork, nullptr);
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::child_pid), third);
  EXPECT_EQ(third[2].nr, 1);
  Numbers parents = second;
  parents.push_back({third[2].ns, 0});
  EXPECT_EQ(numbers_of(fork->levels, &event::NamespacePids::pid), parents);
}

// ------------------------------------------------------------------------------------------------
// who killed it

class LevelsOfTheKiller : public Levels {
 protected:
  // A victim that is three namespaces deep is killed by a process that is `from` namespaces deep;
  // checks the levels of its exit.
  void kill_from(size_t from) {
    const Nested nested(3);
    ASSERT_TRUE(nested.ok());
    ASSERT_NO_FATAL_FAILURE(open(KNELL_EVENT_EXIT));
    Gate go, over;
    Inside victim(nested.first(3), [] {
      for (;;) ::pause();
      return 0;
    });
    const Numbers its = numbers_in_proc(victim.pid(), nested);
    const pid_t number = from == 0 ? victim.pid() : its[from - 1].nr;
    const auto kill = [&] {
      go.wait();
      ::kill(number, SIGKILL);
      over.wait();
      return 0;
    };
    Numbers killers;
    if (from == 0) {
      go.open();
      over.open();
      kill();
    } else {
      Inside killer(nested.first(from), kill);
      killers = numbers_in_proc(killer.pid(), nested);
      go.open();
      ASSERT_NE(await(KNELL_EVENT_EXIT, victim.pid()), nullptr);
      over.open();
      killer.wait();
    }
    ASSERT_EQ(killers.size(), from);
    for (size_t i = from; i < 3; i++) killers.push_back({its[i].ns, 0});
    ASSERT_TRUE(victim.wait());
    const source::KeptEvent* exit = await(KNELL_EVENT_EXIT, victim.pid());
    ASSERT_NE(exit, nullptr);
    EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::pid), its);
    EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::other_pid), killers);
    EXPECT_EQ(exit->event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  }
};

TEST_F(LevelsOfTheKiller, Inside) { kill_from(3); }
TEST_F(LevelsOfTheKiller, BetweenUs) { kill_from(1); }
TEST_F(LevelsOfTheKiller, Outside) { kill_from(0); }

// ------------------------------------------------------------------------------------------------

struct Gates {
  Gate born, go, end;
};

int run_with_a_thread(Gates& gates) {
  std::thread([&] {
    gates.born.open();
    gates.go.wait();
  }).join();
  gates.end.wait();
  return 0;
}

pid_t second_thread_of(pid_t pid) {
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    const pid_t tid = std::atoi(entry.path().filename().c_str());
    if (tid != pid) return tid;
  }
  return 0;
}

TEST_F(Levels, AThreadHasANumberOfItsOwn) {
  const Nested nested(2);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(kForkExecExit, KNELL_LEVEL_RAW));
  Gates gates;
  Inside inside(nested.first(2), [&] { return run_with_a_thread(gates); });
  gates.born.wait();
  const pid_t tid = second_thread_of(inside.pid());
  const Numbers its = numbers_in_proc(inside.pid(), nested);
  const Numbers threads = numbers_in_proc(tid, nested);
  ASSERT_EQ(threads.size(), 2U);
  ASSERT_NE(its, threads);
  gates.go.open();
  gates.end.open();
  ASSERT_EQ(inside.wait(), 0);
  const source::KeptEvent* born = await(KNELL_EVENT_FORK, tid);
  const source::KeptEvent* exit = await(KNELL_EVENT_EXIT, tid);
  ASSERT_TRUE(born != nullptr && exit != nullptr);
  EXPECT_EQ(numbers_of(born->levels, &event::NamespacePids::child_pid), its);
  EXPECT_EQ(numbers_of(born->levels, &event::NamespacePids::child_tid), threads);
  EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::pid), its);
  EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::tid), threads);
}

TEST_F(Levels, BirthsInsideAreSentWithoutASubscription) {
  const Nested nested(2);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(KNELL_EVENT_EXIT));
  Gates gates;
  Inside inside(nested.first(2), [&] {
    if (::setuid(1000) != 0) return 1;
    return run_with_a_thread(gates);
  });
  gates.born.wait();
  const pid_t tid = second_thread_of(inside.pid());
  const Numbers its = numbers_in_proc(inside.pid(), nested);
  const Numbers threads = numbers_in_proc(tid, nested);
  gates.go.open();
  gates.end.open();
  ASSERT_EQ(inside.wait(), 0);
  ASSERT_NO_FATAL_FAILURE(drain_all());
  const Keeper::Birth* process = keeper_.birth_of(inside.pid());
  const Keeper::Birth* thread = keeper_.birth_of(tid);
  ASSERT_TRUE(process != nullptr && thread != nullptr);
  EXPECT_TRUE(process->birth.levels_known && thread->birth.levels_known);
  EXPECT_EQ(numbers_of(process->levels, &event::NamespacePids::child_pid), its);
  EXPECT_EQ(numbers_of(thread->levels, &event::NamespacePids::child_tid), threads);
  EXPECT_EQ(process->birth.uid, 0U);
  EXPECT_EQ(thread->birth.uid, 1000U) << "of who made it";
  EXPECT_EQ(keeper_.birth_of(inside.helper()), nullptr)
      << "it is in the initial namespace, and was not requested";
  EXPECT_EQ(keeper_.find(KNELL_EVENT_FORK, inside.pid()), nullptr) << "it is no event";
  EXPECT_EQ(keeper_.find(KNELL_EVENT_FORK, tid), nullptr);
}

TEST_F(Levels, WithDetailsOfStatusToo) {
  const Nested nested(1);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(KNELL_EVENT_EXIT, KNELL_LEVEL_PROCESS, KNELL_DETAILS_STATUS));
  Gate go;
  Inside inside(nested.first(1), [&] {
    go.wait();
    return 0;
  });
  const Numbers its = numbers_in_proc(inside.pid(), nested);
  go.open();
  inside.wait();
  const source::KeptEvent* exit = await(KNELL_EVENT_EXIT, inside.pid());
  ASSERT_NE(exit, nullptr);
  EXPECT_TRUE(exit->levels_known);
  EXPECT_EQ(numbers_of(exit->levels, &event::NamespacePids::pid), its);
}

TEST_F(Levels, EightAreKnownAndNineAreNot) {
  const Nested nested(event::kMostLevels + 1);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(kForkExecExit));
  Inside eight(nested.first(event::kMostLevels), run_true);
  Inside nine(nested.first(event::kMostLevels + 1), run_true);
  eight.wait();
  nine.wait();
  for (const uint32_t what : kEach) {
    const source::KeptEvent* known = await(what, eight.pid());
    const source::KeptEvent* unknown = await(what, nine.pid());
    ASSERT_TRUE(known != nullptr && unknown != nullptr);
    EXPECT_TRUE(known->levels_known);
    EXPECT_EQ(known->levels.size(), event::kMostLevels);
    EXPECT_EQ(known->levels.back().ns, nested.inode(event::kMostLevels));
    EXPECT_FALSE(unknown->levels_known);
    EXPECT_TRUE(unknown->levels.empty());
  }
}

TEST_F(Levels, TheInitialNamespaceHasNone) {
  ASSERT_NO_FATAL_FAILURE(open(kForkExecExit));
  Child child = Child::fork(run_true);
  const pid_t pid = child.pid();
  child.wait();
  for (const uint32_t what : kEach) {
    const source::KeptEvent* reported = await(what, pid);
    ASSERT_NE(reported, nullptr);
    EXPECT_TRUE(reported->levels_known);
    EXPECT_TRUE(reported->levels.empty());
  }
}

TEST_F(Levels, UnknownWhenNotRequested) {
  const Nested nested(1);
  ASSERT_TRUE(nested.ok());
  ASSERT_NO_FATAL_FAILURE(open(KNELL_EVENT_EXIT, KNELL_LEVEL_PROCESS, KNELL_DETAILS_FULL, false));
  Inside inside(nested.first(1), [] { return 0; });
  inside.wait();
  const source::KeptEvent* exit = await(KNELL_EVENT_EXIT, inside.pid());
  ASSERT_NE(exit, nullptr);
  EXPECT_FALSE(exit->levels_known);
  EXPECT_EQ(keeper_.find(KNELL_EVENT_FORK, inside.pid()), nullptr);
  EXPECT_TRUE(keeper_.births.empty());
}

// ------------------------------------------------------------------------------------------------
// over the connector

class Follower : public Collector {
 public:
  Follower() {
    time_.take(system_clock());
    (void)table_.keep({.owners = true, .namespaces = true});
    table_.begin_scan();
    ScanBudget all;
    EXPECT_TRUE(table_.scan_some(all));
  }
  void on_raw(const event::Raw& raw) override {
    follow(raw);
    raws.push_back(raw);
    uids.push_back(table_.uid_of(raw.pid, raw.stamp_ns));
    const auto numbers = table_.numbers_of(raw.tid, raw.stamp_ns);
    its.emplace_back(numbers.of.begin(), numbers.of.end());
    seen.push_back(seen_by_those_inside(raw));
  }
  // The index of the event of this type about this thread; nullopt: it was not reported.
  std::optional<size_t> find(uint32_t what, pid_t tid) const {
    for (size_t i = 0; i < raws.size(); i++)
      if (raws[i].what == what && raws[i].tid == tid) return i;
    return std::nullopt;
  }
  uint32_t watched_ns = 0;
  // Of each event:
  std::vector<std::optional<uint32_t>> uids;
  std::vector<Numbers> its;
  std::vector<std::optional<event::Raw>> seen;

 private:
  void follow(const event::Raw& raw) {
    if (raw.what == KNELL_EVENT_FORK) return table_.on_fork(raw);
    if (raw.what == KNELL_EVENT_UID) return table_.on_change(raw);
    if (raw.what != KNELL_EVENT_EXIT) return;
    if (raw.tid == raw.pid) return table_.on_exit(raw.pid, raw.stamp_ns);
    table_.on_thread_exit(raw);
  }
  std::optional<event::Raw> seen_by_those_inside(const event::Raw& raw) {
    const process::Levels levels = process::levels_of(raw, table_);
    const auto at = std::ranges::find(levels.of(), watched_ns, &event::NamespacePids::ns);
    if (at == levels.of().end()) return std::nullopt;
    return event::translate(raw, *at);
  }

  process::ProcReader proc_ = *process::ProcReader::open();
  process::Timebase time_;
  process::ProcessTable table_{proc_, system_clock(), time_, /*boot=*/0};
};

TEST(ProcessTable, TrackedOverTheConnectorAreThoseOfProc) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_pid_namespaces());
  const Nested nested(2);
  ASSERT_TRUE(nested.ok());
  const uint32_t mask = kForkExecExit | KNELL_EVENT_UID;
  auto connector = source::Connector::create({.wanted = {mask}});
  ASSERT_TRUE(connector) << connector.error().message();
  Follower follower;
  follower.watched_ns = nested.inode(2);
  const auto until = [&](uint32_t what, pid_t tid) {
    return follower.read_until(**connector, [&] { return follower.find(what, tid).has_value(); });
  };

  Gates gates;
  Gate become, became;
  Inside inside(nested.first(2), [&] {
    // The line of the groups in /proc/PID/status is longer than a page.
    std::vector<gid_t> groups(600);
    std::iota(groups.begin(), groups.end(), gid_t{4'000'000'000});
    if (::setgroups(groups.size(), groups.data()) != 0) return 2;
    std::thread([&] {
      gates.born.open();
      gates.go.wait();
    }).join();
    become.wait();
    if (::setuid(1000) != 0) return 1;
    became.open();
    gates.end.wait();
    return 0;
  });
  gates.born.wait();
  const pid_t tid = second_thread_of(inside.pid());
  const Numbers its = numbers_in_proc(inside.pid(), nested);
  const Numbers threads = numbers_in_proc(tid, nested);
  ASSERT_TRUE(until(KNELL_EVENT_FORK, tid));
  gates.go.open();
  ASSERT_TRUE(until(KNELL_EVENT_EXIT, tid));
  become.open();
  became.wait();
  ASSERT_TRUE(until(KNELL_EVENT_UID, inside.pid()));
  gates.end.open();
  ASSERT_EQ(inside.wait(), 0);  // the process is gone by the time its exit is checked
  ASSERT_TRUE(until(KNELL_EVENT_EXIT, inside.pid()));
  ASSERT_TRUE(until(KNELL_EVENT_EXIT, inside.helper()));

  const size_t fork = *follower.find(KNELL_EVENT_FORK, inside.pid());
  const size_t exit = *follower.find(KNELL_EVENT_EXIT, inside.pid());
  const size_t thread = *follower.find(KNELL_EVENT_EXIT, tid);
  EXPECT_EQ(follower.its[fork], its);
  EXPECT_EQ(follower.its[exit], its);
  EXPECT_EQ(follower.its[thread], threads);
  EXPECT_EQ(follower.uids[fork], 0U);
  EXPECT_EQ(follower.uids[thread], 0U);
  EXPECT_EQ(follower.uids[exit], 1000U);
  ASSERT_TRUE(follower.seen[fork] && follower.seen[exit] && follower.seen[thread]);
  EXPECT_EQ(follower.seen[fork]->pid, its[1].nr);
  EXPECT_EQ(follower.seen[fork]->u.fork.parent_pid, 0) << "outside";
  EXPECT_EQ(follower.seen[exit]->pid, its[1].nr);
  EXPECT_EQ(follower.seen[thread]->tid, threads[1].nr);
  EXPECT_EQ(follower.seen[thread]->pid, its[1].nr);
  const size_t helper = *follower.find(KNELL_EVENT_EXIT, inside.helper());
  EXPECT_FALSE(follower.seen[helper]) << "a process outside has no pid inside";
  EXPECT_TRUE(follower.its[helper].empty());
}

// Compares a source that sees the pids in namespaces with one that does not, for the same
// processes.
TEST(ProcessTable, OverTheConnectorAsOverBpf) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_bpf());
  KNELL_NEEDS(lacks_pid_namespaces());
  const Nested nested(3);
  ASSERT_TRUE(nested.ok());
  source::SourceRequest wanted;
  wanted.mask = kForkExecExit;
  wanted.roots = {{::getpid()}};
  wanted.only_under = true;
  wanted.namespaces = true;
  Keeper keeper;
  auto bpf = source::Bpf::create({}, wanted, keeper.out);
  ASSERT_TRUE(bpf) << bpf.error().message();
  auto connector = source::Connector::create({.wanted = {kForkExecExit | KNELL_EVENT_UID}});
  ASSERT_TRUE(connector) << connector.error().message();
  Follower follower;

  std::vector<pid_t> pids;
  for (int i = 0; i < 20; i++) {
    Gate go;
    Inside inside(nested.first(1 + static_cast<size_t>(i) % 3), [&] {
      go.wait();
      return run_true();
    });
    // The process lives until its fork event was read: one that is dead by then is unknown over the
    // connector.
    ASSERT_TRUE(follower.read_until(
        **connector, [&] { return follower.find(KNELL_EVENT_FORK, inside.pid()).has_value(); }));
    go.open();
    ASSERT_EQ(inside.wait(), 0);
    pids.push_back(inside.pid());
  }
  for (const pid_t pid : pids) {
    ASSERT_TRUE(follower.read_until(
        **connector, [&] { return follower.find(KNELL_EVENT_EXIT, pid).has_value(); }));
    ASSERT_TRUE(
        keeper.read_until(**bpf, [&] { return keeper.find(KNELL_EVENT_EXIT, pid) != nullptr; }));
    for (const uint32_t what : kEach) {
      const source::KeptEvent* reported = keeper.find(what, pid);
      const auto at = follower.find(what, pid);
      ASSERT_TRUE(reported != nullptr && at);
      const auto field =
          what == KNELL_EVENT_FORK ? &event::NamespacePids::child_pid : &event::NamespacePids::pid;
      EXPECT_EQ(follower.its[*at], numbers_of(reported->levels, field)) << pid << " " << what;
    }
  }
}

}  // namespace
}  // namespace knell::test
