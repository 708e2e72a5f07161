// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/bpf.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/fork_with_for_test.h"
#include "base/privilege.h"
#include "base/proc_stat.h"
#include "base/unique_fd.h"
#include "handover/keeper.h"
#include "source/bpf/programs.h"
#include "source/bpf/record_for_test.h"
#include "source/connector/connector.h"
#include "source/output_for_test.h"

// Runs on the live kernel if it permits. Subscribes only to processes under this test process.
namespace knell::source {
namespace {

// With the thread sanitizer the process has further threads, and a vfork takes 4 ms.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define KNELL_SANITIZER_THREADS
#endif
#endif
#ifdef KNELL_SANITIZER_THREADS
constexpr int kStorm = 1000;
#else
constexpr int kStorm = 20'000;
#endif

// The requirement that is not met; empty: none. This does not try to load the programs: if they do
// not work although the requirements are met, the tests must fail.
std::string lacking() {
  if (::geteuid() != 0) return "needs root";
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "this kernel has no BTF";
  struct stat ns{};
  if (::stat("/proc/self/ns/pid", &ns) != 0 || ns.st_ino != 0xEFFFFFFC)
    return "not in the initial pid namespace";
  return {};
}

using testing::HasSubstr;

// Keeps the finished events of a drain, as KeptOutput, and counts holes.
class Collector : public KeptOutput {
 public:
  uint64_t lost = 0, last_ns = 0, exits = 0;
  bool ordered = true, keep = true;
  std::vector<uint32_t> holes;  // types lost in each hole of the connector

  bool wants(Slot& slot, const filter::Ancestry& ancestry) override {
    const knell_event& event = slot.event;
    if (event.type == KNELL_EVENT_LOST && event.via == KNELL_VIA_CONNECTOR) {
      EXPECT_EQ(event.has & KNELL_HAS_COUNT, 0U);
      holes.push_back(event.lost_types);
      return false;
    }
    if (event.type == KNELL_EVENT_LOST) {
      EXPECT_NE(event.has & KNELL_HAS_COUNT, 0U);
      EXPECT_NE(event.flags & KNELL_FLAG_EXACT, 0U);
      lost += event.lost_count;
      return false;
    }
    ordered = ordered && event.mono_ns >= last_ns;
    last_ns = event.mono_ns;
    if (event.type == KNELL_EVENT_EXIT) ++exits;
    return keep && KeptOutput::wants(slot, ancestry);
  }
};

std::string words_of(const knell_string& args) {
  std::string words = text_of(args);
  std::ranges::replace(words, '\0', ' ');
  return words;
}

// A pipe by which a child reports that it is ready.
class Readiness {
 public:
  Readiness() { EXPECT_EQ(::pipe(ends_), 0); }
  ~Readiness() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void say_ready() const { (void)!::write(ends_[1], "x", 1); }
  void wait_ready() const {
    char byte = 0;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
  }

 private:
  int ends_[2] = {-1, -1};
};

// A function of its own, since local variables in registers are not safe across a vfork().
[[gnu::noinline]] void vfork_once(int status) {
  const pid_t pid = ::vfork();
  if (pid == 0) ::_exit(status);
  ::waitpid(pid, nullptr, 0);
}

class BpfTest : public testing::Test {
 protected:
  static SourceRequest request(uint32_t mask) {
    SourceRequest wanted;
    wanted.mask = mask;
    wanted.roots = {{::getpid()}};
    wanted.only_under = true;
    return wanted;
  }

  void open(const SourceRequest& wanted, const BpfOptions& options = {}) {
    if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
    sink_.roots = wanted.roots;
    std::string log;
    auto created = Bpf::create(options, wanted, sink_.out, &log);
    ASSERT_TRUE(created) << created.error().message() << "\n" << log;
    bpf_ = std::move(*created);
  }

  void drain(size_t bound = 100) {
    for (;;) {
      const auto drained = sink_.drain_once(*bpf_, bound);
      ASSERT_TRUE(drained) << drained.error().message();
      if (*drained != Drained::kMore) return;
    }
  }
  bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (std::chrono::steady_clock::now() < end) {
      if (HasFatalFailure() || done()) return true;
      pollfd readable{bpf_->fd(), POLLIN, 0};
      if (::poll(&readable, 1, 1000) > 0) drain();
    }
    return done();
  }
  const KeptEvent* exit_of(pid_t pid) {
    EXPECT_TRUE(until([&] { return sink_.find(KNELL_EVENT_EXIT, pid) != nullptr; })) << pid;
    return sink_.find(KNELL_EVENT_EXIT, pid);
  }

  // The roots of the first exit with this status; nullopt: there is none.
  std::optional<uint64_t> roots_of_exit(int status) const {
    const auto seen = std::ranges::find_if(sink_.events, [&](const KeptEvent& one) {
      return one.event.type == KNELL_EVENT_EXIT && one.event.wait_status == status;
    });
    return seen == sink_.events.end() ? std::nullopt : std::optional(seen->roots);
  }

  static pid_t fork_child(const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(0);
  }
  static int reap(pid_t pid) {
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }
  static pid_t shell(const char* command) {
    return fork_child([&] { ::execl("/bin/sh", "sh", "-c", command, nullptr); });
  }

  Collector sink_;
  std::unique_ptr<Bpf> bpf_;
};

TEST_F(BpfTest, ReportsAnExitWithItsDetails) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    (void)!::chdir("/dev");
    ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
  });
  EXPECT_EQ(reap(pid), 7 << 8);
  const KeptEvent* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, 7 << 8);
  EXPECT_EQ(seen->event.exit_signal, static_cast<uint32_t>(SIGCHLD));
  EXPECT_EQ(seen->event.ppid, ::getpid());
  EXPECT_EQ(seen->event.uid, ::getuid());
  EXPECT_EQ(seen->event.gid, ::getgid());
  EXPECT_EQ(seen->roots, 1U);
  EXPECT_NE(seen->event.comm.data, nullptr);
  EXPECT_NE(seen->event.args.data, nullptr);
  EXPECT_EQ(words_of(seen->event.args), "sh -c exit 7 ");
  EXPECT_EQ(text_of(seen->event.comm), "sh");
  EXPECT_EQ(text_of(seen->event.cwd), "/dev");
  EXPECT_THAT(text_of(seen->event.exe), HasSubstr("/bin/"));
  EXPECT_NE(seen->event.cgroup.data, nullptr);
  EXPECT_EQ(seen->event.id.kind, static_cast<uint32_t>(KNELL_ID_START));
  EXPECT_EQ(seen->event.has & KNELL_HAS_KILLER, 0U);
  EXPECT_EQ(seen->event.killed_by.cause, 0U);
  const auto ended = std::ranges::find(sink_.ended, pid, &KeptOutput::Ended::pid);
  ASSERT_NE(ended, sink_.ended.end());
  EXPECT_EQ(ended->start, seen->event.id.start);
}

TEST_F(BpfTest, HasArgsOfTheExecOrTheParentOnAnOlderKernel) {
  open(request(KNELL_EVENT_EXIT), {.older_kernel_for_testing = true});
  if (!bpf_) return;
  const pid_t program = shell("exit 3");
  reap(program);
  const pid_t copy = fork_child([] { ::_exit(4); });  // its parent is older than the programs
  reap(copy);
  const KeptEvent* seen = exit_of(program);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(words_of(seen->event.args), "sh -c exit 3 ");
  EXPECT_THAT(text_of(seen->event.exe), HasSubstr("/bin/"));
  seen = exit_of(copy);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, 4 << 8);
  EXPECT_THAT(words_of(seen->event.args), HasSubstr("_test"));
  EXPECT_THAT(text_of(seen->event.exe), HasSubstr("_test"));
}

TEST_F(BpfTest, SendsOnlyMarksForStatusDetails) {
  SourceRequest status = request(KNELL_EVENT_EXIT);
  status.details = KNELL_DETAILS_STATUS;
  open(status);
  if (!bpf_) return;
  const pid_t pid = fork_child([] { ::_exit(5); });
  reap(pid);
  const KeptEvent* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, 5 << 8);
  EXPECT_EQ(seen->event.ppid, ::getpid());
  EXPECT_EQ(seen->event.comm.data, nullptr);
}

// A wakeup takes long, so the reader is woken when the process begins to exit, and not only by the
// mark. Freeing much memory takes longer than a wakeup. But this test may get its CPU only after
// that, so it tries again.
TEST_F(BpfTest, WakesTheReaderWhenAProcessBeginsToExit) {
  SourceRequest status = request(KNELL_EVENT_NONZERO_EXIT);
  status.details = KNELL_DETAILS_STATUS;
  open(status);
  if (!bpf_) return;
  bool early = false;
  for (int i = 0; i < 50 && !early; i++) {
    constexpr size_t kBytes = size_t{128} << 20;
    const pid_t pid = fork_child([] {
      void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      ::_exit(memory == MAP_FAILED ? 2 : 1);
    });
    pollfd readable{bpf_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&readable, 1, 60'000), 1);
    drain();
    early = sink_.count(KNELL_EVENT_EXIT, pid) == 0;
    ASSERT_EQ(reap(pid), 1 << 8);
    ASSERT_NE(exit_of(pid), nullptr);
    EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  }
  EXPECT_TRUE(early);
}

TEST_F(BpfTest, DoesNotWakeTheReaderForAnUnwantedExit) {
  SourceRequest status = request(KNELL_EVENT_NONZERO_EXIT);
  status.details = KNELL_DETAILS_STATUS;
  open(status);
  if (!bpf_) return;
  reap(fork_child([] {}));
  pollfd readable{bpf_->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 0), 0);
}

TEST_F(BpfTest, ReportsOnlyNonZeroExitsIfOnlyTheyAreWanted) {
  open(request(KNELL_EVENT_NONZERO_EXIT));
  if (!bpf_) return;
  const pid_t zero = fork_child([] {});
  reap(zero);
  const pid_t one = fork_child([] { ::_exit(1); });
  reap(one);
  EXPECT_NE(exit_of(one), nullptr);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, zero), 0U);
}

TEST_F(BpfTest, ReportsNoExitWhenAWorkerExecs) {
  open(request(KNELL_EVENT_EXIT | KNELL_EVENT_EXEC));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    std::thread([] { ::execl("/bin/sh", "sh", "-c", "exit 6", nullptr); }).detach();
    for (;;) ::pause();
  });
  EXPECT_EQ(reap(pid), 6 << 8);
  const KeptEvent* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, 6 << 8);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXEC, pid), 1U);
}

TEST_F(BpfTest, ReportsTheExitOfTheLastThreadIfTheLeaderExitsFirst) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  for (const bool older : {false, true}) {
    if (older) open(request(KNELL_EVENT_EXIT), {.older_kernel_for_testing = true});
    const pid_t pid = fork_child([] {
      std::thread([] {
        ::usleep(20000);
        ::_exit(7);
      }).detach();
      ::syscall(SYS_exit, 0);
    });
    EXPECT_EQ(reap(pid), 7 << 8);
    const KeptEvent* seen = exit_of(pid);
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(seen->event.wait_status, 7 << 8);
    EXPECT_NE(seen->event.comm.data, nullptr);
    EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  }
}

TEST_F(BpfTest, ReportsOneExitForFiftyKilledThreads) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = fork_child([&] {
    for (int i = 0; i < 50; i++) std::thread([] { ::pause(); }).detach();
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(pid, SIGKILL);
  EXPECT_EQ(reap(pid), SIGKILL);
  const KeptEvent* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, SIGKILL);
  EXPECT_EQ(seen->event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(seen->event.killed_by.pid, ::getpid());
  EXPECT_EQ(seen->event.killed_by.uid, ::getuid());
  EXPECT_FALSE(text_of(seen->event.killed_by.comm).empty());
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(BpfTest, NamesTheKernelAsTheCauseOfAFault) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    ::prctl(PR_SET_DUMPABLE, 0);
    ::signal(SIGSEGV, SIG_DFL);
    void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *static_cast<volatile char*>(page) = 1;
  });
  EXPECT_EQ(reap(pid) & 0x7f, SIGSEGV);
  const KeptEvent* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_KERNEL));
  EXPECT_EQ(seen->event.killed_by.pid, 0);
}

TEST_F(BpfTest, ReportsExitsIfTheParentGetsNoSignal) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  std::vector<pid_t> children;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = fork_child([&] {
    ::signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 20; i++) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(9);
      (void)!::write(ends[1], &child, sizeof child);
    }
    while (::wait(nullptr) > 0) continue;
  });
  reap(parent);
  for (int i = 0; i < 20; i++) {
    pid_t child = 0;
    ASSERT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
    const KeptEvent* seen = exit_of(child);
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(seen->event.wait_status, 9 << 8);
    EXPECT_EQ(seen->event.ppid, parent);
    EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, child), 1U);
  }
  // A child of clone() without an exit signal has ended when it is dead, whether it was reaped or
  // not.
  const auto silent = static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, 0));
  if (silent == 0) {
    ::usleep(20000);
    ::_exit(8);
  }
  const KeptEvent* seen = exit_of(silent);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, 8 << 8);
  int status = 0;
  EXPECT_EQ(::waitpid(silent, &status, __WALL), silent);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(BpfTest, ReportsTheExitIfTheParentIgnoresSigchldAtTheLastMoment) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  Readiness ready;
  // A process with much memory takes long to die: SIGCHLD is ignored between the details and the
  // mark.
  const pid_t pid = fork_child([&] {
    const size_t bytes = 128U << 20;
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(memory, 1, bytes);
    ready.say_ready();
    ::pause();
  });
  ready.wait_ready();
  ::kill(pid, SIGKILL);
  ::usleep(500);
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  const KeptEvent* seen = exit_of(pid);
  ::signal(SIGCHLD, before);
  ::waitpid(pid, nullptr, 0);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.wait_status, SIGKILL);
  EXPECT_NE(seen->event.comm.data, nullptr);
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
}

TEST_F(BpfTest, ReportsEveryExitOfAStorm) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  sink_.keep = false;
  for (int i = 0; i < kStorm; i++) {
    vfork_once(i & 1);
    if (i % 1000 == 0) drain();
  }
  drain();
  EXPECT_EQ(sink_.exits, static_cast<uint64_t>(kStorm));
  EXPECT_EQ(sink_.lost, 0U);
  EXPECT_TRUE(sink_.ordered);
}

TEST_F(BpfTest, LosesNoWakeup) {
  open(request(KNELL_EVENT_EXIT | KNELL_EVENT_FORK));
  if (!bpf_) return;
  constexpr uint64_t kProcesses = kStorm / 4;
  const pid_t child = fork_child([] {
    for (uint64_t i = 0; i < kProcesses; i++) {
      vfork_once(0);
      if (i % 3 == 0) ::usleep(static_cast<useconds_t>(i % 200));
    }
  });
  // Sleeps each time until there is something to read; after a lost wakeup poll() times out. If the
  // test waits long for a CPU, the rings may overflow: lost events count as read.
  constexpr uint64_t kAll = 2 * (kProcesses + 1);
  while (sink_.events.size() + sink_.lost < kAll) {
    pollfd readable{bpf_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&readable, 1, 40'000), 1) << sink_.events.size() << " and " << sink_.lost;
    drain(7);
  }
  EXPECT_EQ(sink_.events.size() + sink_.lost, kAll) << sink_.exits << " exits, lost " << sink_.lost;
  EXPECT_TRUE(sink_.ordered);
  reap(child);
}

TEST_F(BpfTest, CountsTheLossesOfAStoppedReaderExactly) {
  BpfOptions tiny;
  tiny.exit_ring_bytes = tiny.event_ring_bytes = 64U << 10;
  tiny.reserve_ring_bytes = 4096;
  tiny.unsent_exits = 16;
  open(request(KNELL_EVENT_EXIT | KNELL_EVENT_FORK), tiny);
  if (!bpf_) return;
  uint64_t expected = 0;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 2000; i++) {
      vfork_once(1);
    }
    expected += 2 * 2000;
    drain(10);
    EXPECT_EQ(sink_.events.size() + sink_.lost, expected);
  }
  EXPECT_GT(sink_.lost, 0U);
  EXPECT_EQ(bpf_->counters().lost, sink_.lost);
  EXPECT_TRUE(sink_.ordered);
}

// The rings have room for about 100 exits: all others wait in the map, with their status.
TEST_F(BpfTest, KeepsExitsWhileAllRingsAreFull) {
  BpfOptions tiny;
  tiny.exit_ring_bytes = tiny.event_ring_bytes = tiny.reserve_ring_bytes = 4096;
  open(request(KNELL_EVENT_NONZERO_EXIT), tiny);
  if (!bpf_) return;
  constexpr int kExits = 2000;
  for (int round = 0; round < 2; round++) {
    sink_.events.clear();
    for (int i = 0; i < kExits; i++) vfork_once(i % 10 == 0 ? 1 + i % 100 : 0);
    drain(7);
    EXPECT_EQ(sink_.lost, 0U);
    ASSERT_EQ(sink_.events.size(), kExits / 10U);
    for (size_t i = 0; i < sink_.events.size(); i++)
      EXPECT_EQ(sink_.events[i].event.wait_status, (1 + static_cast<int>(i) * 10 % 100) << 8);
  }
  EXPECT_TRUE(sink_.ordered);
  EXPECT_EQ(bpf_->counters().lost, 0U);
}

// Exits of children whose parent ignores SIGCHLD have no mark, and wait in the map, too.
TEST_F(BpfTest, KeepsExitsWithoutAMarkWhileAllRingsAreFull) {
  BpfOptions tiny;
  tiny.exit_ring_bytes = tiny.event_ring_bytes = tiny.reserve_ring_bytes = 4096;
  open(request(KNELL_EVENT_EXIT), tiny);
  if (!bpf_) return;
  constexpr int kExits = 300;
  const pid_t parent = fork_child([] {
    ::signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < kExits; i++) vfork_once(3);
  });
  reap(parent);
  EXPECT_NE(exit_of(parent), nullptr);
  EXPECT_TRUE(until([&] { return sink_.exits == kExits + 1; })) << sink_.exits;
  EXPECT_EQ(sink_.lost, 0U);
  for (const KeptEvent& seen : sink_.events)
    EXPECT_EQ(seen.event.wait_status, seen.event.pid == parent ? 0 : 3 << 8);
}

TEST_F(BpfTest, DrainsNotMoreThanItsBound) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  for (int i = 0; i < 20; i++) reap(fork_child([] {}));
  for (size_t drained = 0; drained < 20; drained++) {
    ASSERT_EQ(sink_.events.size(), drained);
    ASSERT_TRUE(sink_.drain_once(*bpf_, 1));
  }
  EXPECT_EQ(sink_.events.size(), 20U);
  EXPECT_TRUE(sink_.ordered);
}

TEST_F(BpfTest, ReportsForkBeforeExit) {
  open(request(KNELL_EVENT_EXIT | KNELL_EVENT_FORK));
  if (!bpf_) return;
  for (int i = 0; i < 500; i++) {
    vfork_once(0);
  }
  drain();
  EXPECT_TRUE(sink_.ordered);
  ASSERT_EQ(sink_.events.size(), 1000U);
  for (size_t i = 0; i < 1000; i += 2) {
    const knell_event &fork = sink_.events[i].event, &exit = sink_.events[i + 1].event;
    EXPECT_EQ(fork.type, static_cast<uint32_t>(KNELL_EVENT_FORK));
    EXPECT_EQ(fork.pid, ::getpid());
    EXPECT_EQ(exit.type, static_cast<uint32_t>(KNELL_EVENT_EXIT));
    EXPECT_EQ(fork.child_pid, exit.pid);
    EXPECT_EQ(fork.child_id.start, exit.id.start);
  }
}

TEST_F(BpfTest, ReportsARenameButNotForAnExec) {
  open(request(KNELL_EVENT_COMM | KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    ::prctl(PR_SET_NAME, "renamed");
    ::execl("/bin/sh", "sh", "-c", "exit 0", nullptr);
  });
  reap(pid);
  ASSERT_NE(exit_of(pid), nullptr);
  ASSERT_EQ(sink_.count(KNELL_EVENT_COMM, pid), 1U);
  EXPECT_EQ(text_of(sink_.find(KNELL_EVENT_COMM, pid)->event.new_comm), "renamed");
}

TEST_F(BpfTest, ChangesWhatIsWantedWhileRunning) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  SourceRequest wanted = request(KNELL_EVENT_FORK);
  ASSERT_TRUE(bpf_->set_request(wanted));
  const pid_t unwanted = fork_child([] {});
  reap(unwanted);
  wanted.mask = KNELL_EVENT_NONZERO_EXIT;
  wanted.roots = sink_.roots = {{1}, {::getpid()}};
  ASSERT_TRUE(bpf_->set_request(wanted));
  reap(fork_child([] {}));
  const pid_t reported = fork_child([] { ::_exit(1); });
  reap(reported);
  const KeptEvent* seen = exit_of(reported);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->roots & 2U, 2U);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, unwanted), 0U);
  wanted = SourceRequest{};
  wanted.mask = KNELL_EVENT_EXIT;
  wanted.any_pid = false;
  ASSERT_TRUE(bpf_->set_request(wanted));
  const pid_t stranger = fork_child([] {});
  reap(stranger);
  const pid_t named = fork_child([] { ::pause(); });
  ASSERT_TRUE(bpf_->add_pid(named, 0));
  ::kill(named, SIGTERM);
  reap(named);
  ASSERT_NE(exit_of(named), nullptr);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, stranger), 0U);
  wanted.any_pid = true;
  wanted.uids = {::getuid() + 4711};
  ASSERT_TRUE(bpf_->set_request(wanted));
  const pid_t of_another_user = fork_child([] {});
  reap(of_another_user);
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, of_another_user), 0U);
}

// A root that has ended, while a child of it lives, and a later process with its pid. The child
// ends with 5, and a new child of the later process with 6, at end_children().
class ReusedRoot {
 public:
  ReusedRoot() {
    first_.pid = ::fork();
    if (first_.pid == 0) {
      if (::fork() == 0) end_when(old_may_end_, 5);
      ready_.say_ready();
      for (;;) ::pause();
    }
    ready_.wait_ready();
    first_.start = start_of(first_.pid);
  }
  // False: the pid cannot be chosen.
  bool replace_first() {
    EXPECT_EQ(::kill(first_.pid, SIGKILL), 0);
    EXPECT_EQ(::waitpid(first_.pid, nullptr, 0), first_.pid);
    later_.pid = fork_later_with(first_.pid, first_.start);
    if (later_.pid == 0) {
      new_may_begin_.wait_ready();
      if (::fork() == 0) ::_exit(6);
      for (;;) ::pause();
    }
    later_.start = start_of(first_.pid);
    return later_.pid > 0;
  }
  ~ReusedRoot() {
    old_may_end_.say_ready();
    if (later_.pid <= 0) return;
    ::kill(later_.pid, SIGKILL);
    ::waitpid(later_.pid, nullptr, 0);
  }
  void end_children() const {
    old_may_end_.say_ready();
    new_may_begin_.say_ready();
  }
  const filter::Root& first() const { return first_; }
  const filter::Root& later() const { return later_; }

 private:
  [[noreturn]] static void end_when(const Readiness& may_end, int status) {
    ::alarm(600);  // if the test crashes
    may_end.wait_ready();
    ::_exit(status);
  }

  filter::Root first_, later_;
  Readiness ready_, old_may_end_, new_may_begin_;
};

TEST_F(BpfTest, ALaterProcessWithThePidOfARootIsAnotherRoot) {
  if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
  ReusedRoot reused;
  SourceRequest wanted = request(KNELL_EVENT_EXIT);
  wanted.roots = {reused.first()};
  open(wanted);
  if (!bpf_) return;
  if (!reused.replace_first()) GTEST_SKIP() << "the pid cannot be chosen";
  wanted.roots = sink_.roots = {reused.first(), reused.later()};
  ASSERT_TRUE(bpf_->set_request(wanted));
  reused.end_children();
  const auto roots_at = [&](int status) { return roots_of_exit(status << 8); };
  EXPECT_TRUE(until([&] { return roots_at(5) && roots_at(6); }));
  EXPECT_EQ(roots_at(5), uint64_t{0b01}) << "it is under the process that has ended";
  EXPECT_EQ(roots_at(6), uint64_t{0b10});
}

// As after a restart of knelld, whose clients keep their roots.
TEST_F(BpfTest, ARootThatHasEndedIsNotTheProcessWithItsPid) {
  if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
  ReusedRoot reused;
  if (!reused.replace_first()) GTEST_SKIP() << "the pid cannot be chosen";
  SourceRequest wanted = request(KNELL_EVENT_EXIT);
  wanted.roots = {reused.first(), {::getpid()}};
  open(wanted);
  if (!bpf_) return;
  reused.end_children();
  EXPECT_TRUE(until([&] { return roots_of_exit(6 << 8).has_value(); }));
  EXPECT_EQ(roots_of_exit(6 << 8), uint64_t{0b10});
}

volatile int handled_to = -1;  // the descriptor to which on_request() writes

// While exits are unwanted, senders are not recorded. Then the recorded one is not the last one.
TEST_F(BpfTest, NamesNoSenderOfARequestBeforeExitsWereUnwanted) {
  SourceRequest wanted;
  wanted.mask = KNELL_EVENT_EXIT | KNELL_EVENT_COMM;
  wanted.any_pid = false;
  open(wanted);
  if (!bpf_) return;
  int handled[2];
  ASSERT_EQ(::pipe(handled), 0);
  handled_to = handled[1];
  const auto await_byte = [&] {
    char byte = 0;
    ASSERT_EQ(::read(handled[0], &byte, 1), 1);
  };
  const pid_t pid = fork_child([&] {
    ::signal(SIGUSR1, [](int) { ::_exit(3); });
    ::signal(SIGTERM, [](int) { (void)!::write(handled_to, "x", 1); });
    ::raise(SIGTERM);
    for (;;) ::pause();
  });
  await_byte();
  ASSERT_TRUE(bpf_->add_pid(pid, 0));
  const auto request_end = [&](const char* name) {
    reap(fork_child([&] {
      ::prctl(PR_SET_NAME, name);
      ::kill(pid, SIGTERM);
    }));
    await_byte();
  };
  request_end("aaa");
  wanted.mask = KNELL_EVENT_COMM;
  ASSERT_TRUE(bpf_->set_request(wanted));
  request_end("bbb");
  wanted.mask = KNELL_EVENT_EXIT | KNELL_EVENT_COMM;
  ASSERT_TRUE(bpf_->set_request(wanted));
  ::kill(pid, SIGUSR1);
  EXPECT_EQ(reap(pid), 3 << 8);
  const KeptEvent* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.has & KNELL_HAS_LAST_SIGNAL, 0U) << text_of(seen->event.last_signal.comm);
  ::close(handled[0]);
  ::close(handled[1]);
}

TEST_F(BpfTest, AProcessThatAPredicateNamesStaysWantedWhenItIsRemoved) {
  const pid_t pid = fork_child([] { ::pause(); });
  SourceRequest wanted;
  wanted.mask = KNELL_EVENT_EXIT;
  wanted.any_pid = false;
  wanted.pids = {pid};
  open(wanted);
  const bool changed = bpf_ != nullptr && bpf_->add_pid(pid, 0) && bpf_->remove_pid(pid);
  ::kill(pid, SIGKILL);
  reap(pid);
  if (!bpf_) return;
  EXPECT_TRUE(changed);
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
}

// The descriptor of a map of the programs that this process has loaded; -1: there is none.
int map_named(std::string_view name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry, gone) != "anon_inode:bpf-map") continue;
    const int fd = std::stoi(entry.path().filename());
    bpf_map_info info{};
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && name == info.name) return fd;
  }
  return -1;
}

TEST_F(BpfTest, ReportsProcessesInANewCgroupWhenTheMapOfCgroupsIsFull) {
  std::string mount = "/sys/fs/cgroup/systemd";
  if (::access((mount + "/cgroup.procs").c_str(), W_OK) != 0) mount = "/sys/fs/cgroup";
  if (::access((mount + "/cgroup.procs").c_str(), W_OK) != 0)
    GTEST_SKIP() << "no cgroups can be made here";
  const std::string name = "/knell-test-" + std::to_string(::getpid());
  SourceRequest wanted;
  wanted.mask = KNELL_EVENT_EXIT;
  wanted.cgroups = {name};
  open(wanted);
  if (!bpf_) return;
  const int map = map_named("cgroups");
  ASSERT_GE(map, 0);
  const uint32_t one = 1;
  uint64_t inode = uint64_t{1} << 48;
  while (bpf_map_update_elem(map, &inode, &one, BPF_ANY) == 0) ++inode;
  EXPECT_EQ(errno, E2BIG);
  ASSERT_EQ(::mkdir((mount + name).c_str(), 0700), 0);
  const pid_t pid = fork_child([&] {
    std::ofstream procs(mount + name + "/cgroup.procs");
    procs << 0 << std::flush;
    ::_exit(procs ? 3 : 99);
  });
  EXPECT_EQ(reap(pid), 3 << 8);
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  EXPECT_EQ(::rmdir((mount + name).c_str()), 0);
}

// Before Linux 6.17 or so, two threads that exit together can both send the details.
TEST_F(BpfTest, WaitsForTheMarkIfTheDetailsCameTwice) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] { ::pause(); });
  knell_process details{};
  details.head = {
      .stamp_ns = system_clock().monotonic_ns(), .lost = 0, .kind = 0, .flags = KNELL_RECORD_NAMED};
  details.head.kind = KNELL_RECORD_DETAILS;
  details.pid = details.tid = pid;
  details.start_ns = read_proc_stat(pid)->start * 10'000'000;
  details.status = 7 << 8;
  std::strcpy(details.comm, "twice");
  bpf_->add_record_for_testing(RecordBytes(details).view());
  details.head.stamp_ns++;
  bpf_->add_record_for_testing(RecordBytes(details).view());
  knell_mark mark{};
  mark.head.stamp_ns = details.head.stamp_ns + 1;
  mark.head.kind = KNELL_RECORD_MARK;
  mark.pid = pid;
  mark.start_ns = details.start_ns;
  mark.status = 7 << 8;
  bpf_->add_record_for_testing(RecordBytes(mark).view());
  drain();  // the records are in no ring, so the source is not readable
  const KeptEvent* seen = sink_.find(KNELL_EVENT_EXIT, pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->event.mono_ns, mark.head.stamp_ns);
  EXPECT_EQ(text_of(seen->event.comm), "twice") << "the details were not used";
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  ::kill(pid, SIGKILL);
  reap(pid);
}

TEST_F(BpfTest, ReportsEachThreadAtRawLevel) {
#ifdef KNELL_SANITIZER_THREADS
  GTEST_SKIP() << "the sanitizer has threads of its own";
#endif
  SourceRequest raw = request(KNELL_EVENT_EXIT | KNELL_EVENT_FORK);
  raw.level = KNELL_LEVEL_RAW;
  open(raw);
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    std::thread([] {}).join();
    ::_exit(2);
  });
  reap(pid);
  EXPECT_TRUE(until([&] { return sink_.count(KNELL_EVENT_EXIT, pid) == 2; }));
  for (const KeptEvent& seen : sink_.events) {
    if (!seen.is(KNELL_EVENT_EXIT, pid)) continue;
    EXPECT_EQ(seen.event.wait_status, seen.event.tid == pid ? 2 << 8 : 0);
  }
  size_t threads = 0;
  for (const KeptEvent& seen : sink_.events) {
    if (seen.event.type != KNELL_EVENT_FORK || seen.event.child_pid != pid) continue;
    if (seen.event.child_tid != pid) ++threads;
    EXPECT_EQ(seen.event.pid, ::getpid());
  }
  EXPECT_EQ(threads, 1U);
}

// ------------------------------------------------------------------- the types of the connector

// While an object of this class exists, no descriptor can be opened.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none{0, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

class BpfConnectorTest : public BpfTest {
 protected:
  void SetUp() override {
    if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
    if (const auto made = Connector::create({.wanted = {.mask = KNELL_EVENT_UID}}); !made)
      GTEST_SKIP() << made.error().message();
    open(request(KNELL_EVENT_EXIT));
    ASSERT_NE(bpf_, nullptr);
    // UBSan needs a descriptor to check the type of an object that it has not seen before.
    ASSERT_TRUE(sink_.check_health(*bpf_));
    ASSERT_FALSE(connected());
  }
  bool connected() const { return (bpf_->capabilities().types & KNELL_EVENT_UID) != 0; }
  static constexpr uint32_t kBoth = KNELL_EVENT_EXIT | KNELL_EVENT_UID;
};

TEST_F(BpfConnectorTest, IsOpenOnlyWhileItsTypesAreWanted) {
  EXPECT_FALSE(connected());
  ASSERT_TRUE(bpf_->set_request(request(kBoth)));
  EXPECT_TRUE(connected());
  ASSERT_TRUE(bpf_->set_request(request(KNELL_EVENT_NONZERO_EXIT)));
  EXPECT_FALSE(connected());
  ASSERT_TRUE(sink_.check_health(*bpf_));
  EXPECT_TRUE(sink_.holes.empty());
}

TEST_F(BpfConnectorTest, IsTriedAgainAtEachHealthCheckAndTheHoleIsReported) {
  {
    const NoDescriptors none;
    ASSERT_TRUE(bpf_->set_request(request(kBoth)));
    ASSERT_TRUE(sink_.check_health(*bpf_));
    EXPECT_FALSE(connected());
  }
  EXPECT_TRUE(sink_.holes.empty()) << "the hole is reported when it ends";
  for (int i = 0; i < 2; i++) {
    ASSERT_TRUE(sink_.check_health(*bpf_));
    EXPECT_TRUE(connected());
    EXPECT_EQ(sink_.holes, std::vector<uint32_t>{KNELL_EVENT_UID});
  }
}

TEST_F(BpfConnectorTest, ARequestThatOpensItReportsTheHoleToo) {
  {
    const NoDescriptors none;
    ASSERT_TRUE(bpf_->set_request(request(kBoth)));
  }
  ASSERT_TRUE(bpf_->set_request(request(kBoth | KNELL_EVENT_GID)));
  EXPECT_TRUE(connected());
  ASSERT_TRUE(sink_.check_health(*bpf_));
  EXPECT_EQ(sink_.holes, std::vector<uint32_t>{KNELL_EVENT_UID}) << "no other type was missing";
}

TEST_F(BpfConnectorTest, IsNotOpenedWhenItsTypesAreNoLongerWanted) {
  {
    const NoDescriptors none;
    ASSERT_TRUE(bpf_->set_request(request(kBoth)));
  }
  ASSERT_TRUE(bpf_->set_request(request(KNELL_EVENT_EXIT)));
  ASSERT_TRUE(sink_.check_health(*bpf_));
  EXPECT_FALSE(connected());
  EXPECT_TRUE(sink_.holes.empty());
}

TEST_F(BpfConnectorTest, ItsErrorIsReturnedWhenNothingElseIsWanted) {
  const NoDescriptors none;
  const auto refused = bpf_->set_request(request(KNELL_EVENT_UID));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EMFILE);
}

// Runs `body` in a child that has only these capabilities. Returns the child's exit status.
int status_of_child_with(std::initializer_list<int> capabilities,
                         const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(keep_capabilities(capabilities) ? body() : 99);
  int status = -1;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(UnsentExits, CountsWhatItCannotRead) {
  UnsentExits exits(-1);
  EXPECT_EQ(exits.take_all(5), 5U);
  EXPECT_EQ(exits.take_all(5), 0U);
  EXPECT_EQ(exits.take_all(7), 2U);
  EXPECT_TRUE(exits.empty(7));
}

TEST(BpfPrivilege, ErrorNamesTheMissingCapabilities) {
  EXPECT_EQ(status_of_child_with({},
                                 [] {
                                   KeptOutput kept;
                                   const auto created = Bpf::create({}, {}, kept.out);
                                   if (created) return 1;
                                   if (created.error().code == ENOTSUP)
                                     return 0;  // for example, no BTF
                                   const std::string words = created.error().message();
                                   return words.find("CAP_PERFMON") == std::string::npos ? 2 : 0;
                                 }),
            0);
}

// Drops all capabilities, asks for more types and all predicates, and forks. Returns 0 if the exit
// of the child was reported, else what failed.
int ask_for_more_without_capabilities(const BpfOptions& options, uint32_t first) {
  Collector sink;
  auto bpf = Bpf::create(options, {.mask = first}, sink.out);
  if (!bpf) return 1;
  if (!keep_capabilities({})) return 2;
  SourceRequest wanted;
  wanted.mask = KNELL_EVENT_FORK | KNELL_EVENT_EXEC;
  if (auto set = (*bpf)->set_request(wanted); !set) return set.error().code == EPERM ? 3 : 7;
  wanted.mask |= KNELL_EVENT_EXIT;
  wanted.roots = {{::getpid()}};
  wanted.uids = {0, 1};
  if (!(*bpf)->set_request(wanted)) return 4;
  wanted.only_under = true;
  vfork_once(0);
  if (!sink.drain_once(**bpf, 1000)) return 5;
  return sink.exits > 0 ? 0 : 6;
}

TEST(BpfPrivilege, NeedsTwoCapabilitiesAndOnlyToLoad) {
  if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
  constexpr int kRefused = 3;
  const auto ask = [](bool all, uint32_t first) {
    return status_of_child_with({CAP_BPF, CAP_PERFMON}, [&] {
      return ask_for_more_without_capabilities({.load_all = all}, first);
    });
  };
  EXPECT_EQ(ask(true, KNELL_EVENT_EXIT), 0);
  EXPECT_EQ(ask(false, KNELL_EVENT_EXIT | KNELL_EVENT_EXEC), 0);
  EXPECT_EQ(ask(false, KNELL_EVENT_EXIT), kRefused);
}

TEST_F(BpfTest, LoadsProgramsLaterWithTheSameMaps) {
  open(request(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  ASSERT_TRUE(bpf_->set_request(request(KNELL_EVENT_EXIT | KNELL_EVENT_EXEC | KNELL_EVENT_COMM)));
  const pid_t pid = shell("exit 4");
  reap(pid);
  ASSERT_NE(exit_of(pid), nullptr);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXEC, pid), 1U);
}

// The number of instructions that the verifier processed, which takes most of the time to open the
// source. The number depends on the kernel's verifier; these limits are twice the numbers of Linux
// 6.18. A name is cut to 15 bytes.
constexpr std::pair<std::string_view, unsigned> kMostInstructions[] = {
    {"on_exit", 17'500},     {"on_thread_exit", 17'500}, {"on_signal", 11'000},
    {"on_delivery", 1'100},  {"on_fork", 10'500},        {"on_exec", 9'000},
    {"on_rename", 9'000},    {"on_mkdir", 1'700},        {"on_rename_cgrou", 1'700},
    {"on_connector", 11'000}};

// The bpf links that this process has.
std::set<std::string> link_ids() {
  std::set<std::string> ids;
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream lines(file.path());
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("link_id:")) ids.insert(line);
  }
  return ids;
}

// PID 1 may be slow. This keeper reads nothing, so it holds every descriptor that was sent to it.
TEST(BpfPrograms, IsAttachedAgainWhileTheKeeperHasItsLink) {
  if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
  const UniqueFd keeper_end(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t bytes = sizeof address.sun_family;  // the kernel chooses a name
  ASSERT_EQ(::bind(keeper_end.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0);
  bytes = sizeof address;
  ASSERT_EQ(::getsockname(keeper_end.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  const std::string name(address.sun_path + 1, bytes - offsetof(sockaddr_un, sun_path) - 1);
  ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  auto keeper = handover::Keeper::from_environment();
  ::unsetenv("NOTIFY_SOCKET");
  ASSERT_TRUE(keeper && keeper->stores());
  std::string log;
  using enum Programs::Program;
  auto programs = Programs::load({.exit_ring_bytes = 4096,
                                  .event_ring_bytes = 4096,
                                  .reserve_ring_bytes = 4096,
                                  .keeper = &*keeper},
                                 {kExit}, {}, log);
  ASSERT_TRUE(programs) << programs.error().message();
  ASSERT_TRUE(programs->attach(kExit, true));
  const auto first = link_ids();
  EXPECT_EQ(first.size(), 1U);
  ASSERT_TRUE(programs->attach(kExit, false));
  EXPECT_FALSE(programs->attached().has(kExit));
  ASSERT_TRUE(programs->attach(kExit, true));
  EXPECT_TRUE(programs->attached().has(kExit));
  // Otherwise the program is attached twice.
  EXPECT_EQ(link_ids(), first);
}

TEST_F(BpfTest, IsVerifiedFast) {
  open(request(0), {.load_all = true});
  if (!bpf_) return;
  size_t programs = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry, gone) != "anon_inode:bpf-prog") continue;
    bpf_prog_info info{};
    uint32_t size = sizeof info;
    ASSERT_EQ(bpf_obj_get_info_by_fd(std::stoi(entry.path().filename()), &info, &size), 0);
    const auto most = std::ranges::find(kMostInstructions, std::string_view(info.name),
                                        [](const auto& bound) { return bound.first; });
    ASSERT_NE(most, std::end(kMostInstructions)) << info.name;
    std::printf("%-16s %6u of %6u\n", info.name, info.verified_insns, most->second);
    EXPECT_LE(info.verified_insns, most->second) << info.name;
    EXPECT_GT(info.verified_insns, 0U);
    ++programs;
  }
  EXPECT_GE(programs, 8U);
}

}  // namespace
}  // namespace knell::source
