// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Over bpf an exit waits for the signal with which a process notifies its parent of its exit. When
// no signal was sent, the exit was reported up to 7.6 s late, with the time of its detection; with
// status details it was not reported at all. These tests run no health check, so an exit that
// depends on it is never reported.
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <knell/knell.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/pidfd.h"
#include "base/proc_stat.h"
#include "source/bpf/bpf.h"
#include "support/child.h"
#include "support/needs.h"
#include "system/collector.h"

namespace knell::test {
namespace {

// From linux/sched.h since 7.1; this build has older headers.
constexpr uint64_t kAutoreap = uint64_t{1} << 34;

// Only these two arguments of clone matter here; the others are 0.
pid_t clone_process(uint64_t flags, int exit_signal) {
  clone_args args{};
  args.flags = flags;
  args.exit_signal = static_cast<uint64_t>(exit_signal);
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

// Counts the forks and exits in the stream of a bpf source.
class Lives : public SourceCollector {
 public:
  struct Exit {
    uint64_t stamp_ns;
    int32_t status;
    int count = 0;
  };
  bool wants(event::Slot& slot, const filter::Ancestry&) override {
    const knell_event& event = slot.event;
    if (event.type == KNELL_EVENT_FORK) born.insert(event.child_pid);
    if (event.type != KNELL_EVENT_EXIT) return false;
    Exit& exit = exits[event.pid];
    exit = {event.mono_ns, event.wait_status, exit.count + 1};
    return false;
  }
  bool all_over(size_t count) const { return born.size() == count && exits.size() >= count; }

  std::set<pid_t> born;
  std::map<pid_t, Exit> exits;
};

class ExitWithoutNotice : public testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_bpf());
    source::SourceRequest wanted;
    wanted.mask = KNELL_EVENT_FORK | KNELL_EVENT_EXIT;
    wanted.details = GetParam();
    wanted.roots = {{::getpid()}};
    wanted.only_under = true;
    auto opened = source::Bpf::create({}, wanted, lives_.out);
    ASSERT_TRUE(opened) << opened.error().message();
    bpf_ = *std::move(opened);
  }

  // Each forked process must have one exit, with a timestamp of the time when it was exiting.
  void expect_exits(size_t count, uint64_t from_ns, uint64_t until_ns) {
    EXPECT_TRUE(lives_.read_until(*bpf_, [&] { return lives_.all_over(count); }))
        << lives_.exits.size() << " exits of " << lives_.born.size() << " births, of " << count;
    for (const pid_t pid : lives_.born) {
      const auto exit = lives_.exits.find(pid);
      if (exit == lives_.exits.end()) continue;
      EXPECT_EQ(exit->second.count, 1) << pid;
      EXPECT_GE(exit->second.stamp_ns, from_ns) << pid;
      EXPECT_LE(exit->second.stamp_ns, until_ns) << pid;
    }
  }

  Lives lives_;
  std::unique_ptr<source::Bpf> bpf_;
};

// Nested pid namespaces: each process is the first one of a namespace inside that of its parent;
// only the outermost is killed.
TEST_P(ExitWithoutNotice, NestedPidNamespacesEndTogether) {
  for (int round = 0; round < repetitions(30); round++) {
    for (const int depth : {3, 5}) {
      Pipe ready = make_pipe();
      const uint64_t from = system_clock().monotonic_ns();
      const pid_t outermost = clone_process(CLONE_NEWPID, SIGCHLD);
      ASSERT_GE(outermost, 0);
      if (outermost == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 1; i < depth; i++)
          if (clone_process(CLONE_NEWPID, SIGCHLD) != 0) break;
        (void)!::write(ready.write.get(), "x", 1);
        for (;;) ::pause();
      }
      for (int i = 0; i < depth; i++) {
        char byte = 0;
        ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
      }
      ::kill(outermost, SIGKILL);
      // The first process of a namespace ends after all others in it.
      ASSERT_EQ(::waitpid(outermost, nullptr, 0), outermost);
      lives_.born.clear();
      lives_.exits.clear();
      expect_exits(static_cast<size_t>(depth), from, system_clock().monotonic_ns());
      if (HasFailure()) return;
    }
  }
}

// SIGCHLD ignored: the process is reaped and no parent is notified.
TEST_P(ExitWithoutNotice, SigchldIgnored) {
  const uint64_t from = system_clock().monotonic_ns();
  struct sigaction ignore{}, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(3);
  EXPECT_EQ(::waitpid(child, nullptr, 0), -1);  // returns when the child has ended
  ::sigaction(SIGCHLD, &before, nullptr);
  expect_exits(1, from, system_clock().monotonic_ns());
  EXPECT_EQ(lives_.exits[child].status, 3 << 8);
}

// A process that has no exit signal and is not reaped.
TEST_P(ExitWithoutNotice, NoExitSignal) {
  const uint64_t from = system_clock().monotonic_ns();
  const pid_t child = clone_process(0, 0);
  if (child == 0) ::_exit(3);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT | __WALL), 0);
  expect_exits(1, from, system_clock().monotonic_ns());
  EXPECT_EQ(lives_.exits[child].status, 3 << 8);
  ::waitpid(child, nullptr, __WALL);
}

// After an exec a parent is sent SIGCHLD, whatever exit signal its child was made with.
TEST_P(ExitWithoutNotice, ExitSignalReplacedAfterAnExecOfTheParent) {
  const uint64_t from = system_clock().monotonic_ns();
  Pipe to_child = make_pipe(), to_parent = make_pipe();
  const int in = to_parent.read.get();
  const pid_t parent = ::fork();
  if (parent == 0) {
    to_parent.write.reset();
    to_child.write.reset();
    const pid_t child = clone_process(0, SIGUSR1);
    if (child == 0) {
      char byte = 0;
      ::_exit(::read(to_child.read.get(), &byte, 1) == 1 ? 3 : 4);
    }
    ::dup2(in, STDIN_FILENO);
    ::execl("/bin/cat", "cat", nullptr);
    ::_exit(127);
  }
  ASSERT_TRUE(wait_for_exec(parent, std::filesystem::canonical("/bin/cat")));
  ASSERT_EQ(::write(to_child.write.get(), "x", 1), 1);
  const auto reported = [&] { return lives_.exits.size() == 1; };
  EXPECT_TRUE(lives_.read_until(*bpf_, reported));
  to_parent.write.reset();
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  expect_exits(2, from, system_clock().monotonic_ns());
}

// A tracer reaps the last thread of a process; the parent is notified then, by the tracer.
TEST_P(ExitWithoutNotice, LastThreadReapedByItsTracer) {
  Pipe said = make_pipe(), go = make_pipe();
  const uint64_t from = system_clock().monotonic_ns();
  const pid_t process = ::fork();
  if (process == 0) {
    std::thread([&] {
      const auto tid = static_cast<pid_t>(::syscall(SYS_gettid));
      (void)!::write(said.write.get(), &tid, sizeof tid);
      char byte = 0;
      (void)!::read(go.read.get(), &byte, 1);
      ::syscall(SYS_exit, 3);
    }).detach();
    ::syscall(SYS_exit, 0);
  }
  pid_t worker = 0;
  ASSERT_EQ(::read(said.read.get(), &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr), 0);
  ASSERT_EQ(::write(go.write.get(), "x", 1), 1);
  ASSERT_EQ(::waitpid(worker, nullptr, __WALL), worker);
  ASSERT_EQ(::waitpid(process, nullptr, 0), process);
  expect_exits(1, from, system_clock().monotonic_ns());
}

// Linux 7.1: the kernel reaps the process automatically.
TEST_P(ExitWithoutNotice, Autoreap) {
  const uint64_t from = system_clock().monotonic_ns();
  Pipe pipe = make_pipe();
  const pid_t child = clone_process(kAutoreap, 0);
  if (child < 0 && errno == EINVAL) GTEST_SKIP() << "this kernel has no CLONE_AUTOREAP";
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(3);
  expect_exits(1, from, UINT64_MAX);
  EXPECT_LE(lives_.exits[child].stamp_ns, system_clock().monotonic_ns());
  EXPECT_EQ(lives_.exits[child].status, 3 << 8);
}

// The process is added while it is dying: bpf has read its details already, and no mark will come.
TEST(ExitWithoutNoticeAdded, WhileItIsDying) {
  KNELL_NEEDS(lacks_bpf());
  Options options;
  options.events = KNELL_EVENT_EXIT;
  options.via = KNELL_VIA_BPF;
  options.only_added = 1;
  std::error_code error;
  Listener listener = Listener::open(options, error);
  ASSERT_FALSE(error) << knell_explain();
  struct sigaction ignore{}, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  bool added = false;
  pid_t pid = 0;
  for (int attempt = 0; attempt < 50 && !added; attempt++) {
    Pipe ready = make_pipe();
    pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      constexpr size_t kBytes = 64U << 20;
      void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      (void)!::write(ready.write.get(), &memory, 1);
      for (;;) ::pause();
    }
    char byte = 0;
    ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
    const auto pidfd = pidfd_open(pid);
    ASSERT_TRUE(pidfd);
    ::kill(pid, SIGKILL);
    // bpf has read its details by the time the process frees its memory, which takes a while.
    const std::string statm = "/proc/" + std::to_string(pid) + "/statm";
    std::vector<std::string> lines;
    while (!(lines = lines_of(statm)).empty() && !lines[0].starts_with("0 ")) continue;
    const auto stat = read_proc_stat(pid);
    added = stat && !listener.add(pid, stat->start) && !is_dead(pidfd->get());
  }
  if (!added) {
    ::sigaction(SIGCHLD, &before, nullptr);
    GTEST_SKIP() << "no process was found while it was dying";
  }
  const knell_event* exit = nullptr;
  for (const Deadline deadline; added && exit == nullptr && !deadline.passed();) {
    pollfd readable{listener.fd(), POLLIN, 0};
    ::poll(&readable, 1, deadline.left_ms());
    std::array<const knell_event*, 16> space;
    for (const knell_event* event : listener.read(space, error))
      if (event->pid == pid) exit = event;
  }
  EXPECT_NE(exit, nullptr);
  ::sigaction(SIGCHLD, &before, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Details, ExitWithoutNotice,
                         testing::Values(uint32_t{KNELL_DETAILS_FULL},
                                         uint32_t{KNELL_DETAILS_STATUS}),
                         [](const auto& tested) {
                           return tested.param == KNELL_DETAILS_FULL ? "Full" : "Status";
                         });

}  // namespace
}  // namespace knell::test
