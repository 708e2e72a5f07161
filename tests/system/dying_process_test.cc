// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Processes that are added while they are dying, over bpf: the programs report the end of such a
// process, and a pidfd may report it, too.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>

#include "base/proc_stat.h"
#include "source/bpf/bpf.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "support/recorder.h"
#include "system/collector.h"

namespace knell::test {
namespace {

constexpr int kProcesses = 40;

// A process whose leader has exited. Another thread runs until end(), then exits with status 7.
class WithoutLeader {
 public:
  WithoutLeader()
      : child_(Child::fork([&] {
          gate_.write.reset();
          std::thread([&] {
            char byte;
            (void)!::read(gate_.read.get(), &byte, 1);
            ::_exit(7);
          }).detach();
          ::syscall(SYS_exit, 0);
          return 1;
        })) {}
  // False: the leader is not a zombie by the deadline.
  bool wait_until_dying() const {
    for (const Deadline deadline; !deadline.passed(); std::this_thread::yield()) {
      const auto stat = read_proc_stat(pid());
      if (stat && stat->state == 'Z') return true;
    }
    return false;
  }
  pid_t pid() const { return child_.pid(); }
  void end() { gate_.write.reset(); }
  std::optional<int> wait() { return child_.wait(); }

 private:
  Pipe gate_ = make_pipe();
  Child child_;
};

// The first process of a pid namespace, which has begun to exit: it has killed the other process in
// the namespace, and waits until end() reaps that process.
class FirstOfNamespace {
 public:
  FirstOfNamespace()
      : parent_(Child::fork([&] {
          gate_.write.reset();
          if (::unshare(CLONE_NEWPID) < 0) return 1;
          const pid_t first = fork_sleeper(), other = fork_sleeper();
          siginfo_t dead{};
          if (other < 0 || ::kill(first, SIGKILL) < 0 ||
              ::waitid(P_PID, static_cast<id_t>(other), &dead, WEXITED | WNOWAIT) < 0)
            return 1;
          char byte = 0;
          if (::write(pids_.write.get(), &first, sizeof first) != sizeof first ||
              ::read(gate_.read.get(), &byte, 1) != 0)
            return 1;
          return ::waitpid(other, nullptr, 0) == other && ::waitpid(first, nullptr, 0) == first ? 0
                                                                                                : 1;
        })) {
    pids_.write.reset();
    if (::read(pids_.read.get(), &pid_, sizeof pid_) != sizeof pid_) pid_ = 0;
  }
  pid_t pid() const { return pid_; }  // 0: it could not be created
  std::optional<int> end() {
    gate_.write.reset();
    return parent_.wait();
  }

 private:
  static pid_t fork_sleeper() {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    for (;;) ::pause();
  }

  Pipe gate_ = make_pipe(), pids_ = make_pipe();
  Child parent_;
  pid_t pid_ = 0;
};

// Ends only after all events of the processes above were read.
Child last_child(Pipe& gate) {
  return Child::fork([&] {
    gate.write.reset();
    char byte;
    (void)!::read(gate.read.get(), &byte, 1);
    return 8;
  });
}

class DyingProcess : public testing::Test {
 protected:
  void SetUp() override { KNELL_NEEDS(lacks_bpf()); }
};

// Does not count the exits of a later process with the same pid.
size_t count_exits(const SourceCollector& collector, pid_t pid) {
  return static_cast<size_t>(std::ranges::count_if(collector.events, [&](const auto& kept) {
    return kept.is(KNELL_EVENT_EXIT, pid) && owner_of(pid, kept.event.mono_ns) == Owner::kChild;
  }));
}

TEST_F(DyingProcess, IsReportedOnceToEachClientOfOneKnelld) {
  KNELL_NEEDS(lacks_knelld());
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  const Recorder::Wish added{.events = KNELL_EVENT_EXIT, .only_added = true, .via = "daemon"};
  Recorder one(added), two(added), all({.events = KNELL_EVENT_EXIT, .via = "daemon"});
  ASSERT_EQ(all.listener().stats().via, uint32_t{KNELL_VIA_BPF});
  const std::array listeners{&one, &two, &all};
  const auto await_exit = [&](pid_t pid) {
    for (Recorder* listener : listeners)
      if (!listener->read_until_exit_of(pid)) return false;
    return true;
  };
  std::vector<pid_t> pids;
  for (int i = 0; i < repetitions(kProcesses); ++i) {
    WithoutLeader process;
    ASSERT_TRUE(process.wait_until_dying());
    for (Recorder* listener : {&one, &two})
      ASSERT_FALSE(listener->listener().add(process.pid(), 0, 1)) << knell_explain();
    process.end();
    ASSERT_TRUE(await_exit(process.pid())) << process.pid();
    pids.push_back(process.pid());
    EXPECT_EQ(process.wait(), 7 << 8);
  }
  Pipe gate = make_pipe();
  Child last = last_child(gate);
  for (Recorder* listener : {&one, &two}) ASSERT_FALSE(listener->listener().add(last.pid(), 0, 1));
  gate.write.reset();
  ASSERT_TRUE(await_exit(last.pid()));
  for (const pid_t pid : pids)
    for (const Recorder* listener : listeners) {
      const auto exits = listener->of(pid);
      ASSERT_EQ(exits.size(), 1u) << text_of(exits);
      EXPECT_EQ(exits[0].status(), std::optional<int>(7 << 8));
    }
}

// Its program cannot be read any more. Therefore listeners that began later and want another
// program must not get the exit; a listener that has added the process must get it.
TEST_F(DyingProcess, HasLostItsDetailsOnlyForListenersThatAddedIt) {
  FirstOfNamespace process;
  ASSERT_GT(process.pid(), 0);
  const std::string self = link_of("/proc/self/exe");
  Recorder any({.events = KNELL_EVENT_EXIT,
                .matches = {{"pid", std::to_string(process.pid())}},
                .via = "bpf"});
  Recorder other({.events = KNELL_EVENT_EXIT, .matches = {{"exe", self}}, .via = "bpf"});
  Recorder added({.events = KNELL_EVENT_EXIT,
                  .matches = {{"exe", "/nosuch"}},
                  .only_added = true,
                  .via = "bpf"});
  ASSERT_TRUE(any.ok() && other.ok() && added.ok());
  ASSERT_FALSE(added.listener().add(process.pid(), 0, 1)) << knell_explain();
  EXPECT_EQ(process.end(), 0);
  ASSERT_TRUE(any.read_until_exit_of(process.pid()));
  EXPECT_EQ(any.seen()[0].raw.flags & KNELL_FLAG_DETAILS_LOST, 0U) << any.seen()[0].text();
  ASSERT_TRUE(added.read_until_exit_of(process.pid()));
  EXPECT_NE(added.seen()[0].raw.flags & KNELL_FLAG_DETAILS_LOST, 0U) << added.seen()[0].text();

  Child last = Child::fork([] { return 8; });
  const pid_t pid = last.pid();
  EXPECT_EQ(last.wait(), 8 << 8);
  ASSERT_TRUE(other.read_until_exit_of(pid));
  EXPECT_TRUE(other.of(process.pid()).empty()) << text_of(other.of(process.pid()));
}

TEST_F(DyingProcess, IsReportedOnceByEachSourceOfOneProcess) {
  std::array<SourceCollector, 2> collectors;
  std::array<std::unique_ptr<source::Bpf>, 2> sources;
  for (size_t i = 0; i < 2; ++i) {
    auto source =
        source::Bpf::create({}, {.mask = KNELL_EVENT_EXIT, .any_pid = false}, collectors[i].out);
    ASSERT_TRUE(source) << source.error().message();
    sources[i] = *std::move(source);
  }
  const auto add = [&](pid_t pid) {
    return sources[0]->add_pid(pid, 0).has_value() && sources[1]->add_pid(pid, start_ticks(pid));
  };
  const auto await_exit = [&](pid_t pid) {
    for (size_t i = 0; i < 2; ++i)
      if (!collectors[i].read_until(*sources[i],
                                    [&] { return count_exits(collectors[i], pid) > 0; }))
        return false;
    return true;
  };
  std::vector<pid_t> pids;
  for (int i = 0; i < repetitions(kProcesses); ++i) {
    WithoutLeader process;
    ASSERT_TRUE(process.wait_until_dying());
    ASSERT_TRUE(add(process.pid()));
    process.end();
    ASSERT_TRUE(await_exit(process.pid())) << process.pid();
    pids.push_back(process.pid());
    EXPECT_EQ(process.wait(), 7 << 8);
  }
  Pipe gate = make_pipe();
  Child last = last_child(gate);
  ASSERT_TRUE(add(last.pid()));
  gate.write.reset();
  ASSERT_TRUE(await_exit(last.pid()));
  for (const pid_t pid : pids)
    for (const SourceCollector& collector : collectors)
      EXPECT_EQ(count_exits(collector, pid), 1u) << pid;
}

}  // namespace
}  // namespace knell::test
