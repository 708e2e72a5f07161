// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/bpf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/privilege.h"

// Runs on the live kernel if it permits. Subscribes only to processes under this test process.
namespace knell::source {
namespace {

// The thread sanitizer starts threads of its own, and a vfork takes 4 ms with it.
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

// Which requirement is not met; empty: none. This does not try to load the programs: if they do not
// work although the requirements are met, the tests must fail.
std::string lacking() {
  if (::geteuid() != 0) return "needs root";
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "this kernel has no BTF";
  struct stat ns{};
  if (::stat("/proc/self/ns/pid", &ns) != 0 || ns.st_ino != 0xEFFFFFFC)
    return "not in the initial pid namespace";
  return {};
}

using testing::HasSubstr;

struct Seen {
  uint32_t what = 0;
  event::Full full;
  std::string args, exe, cwd, comm, parent_comm, new_comm, killer_comm;
  int status() const { return full.u.exit.status; }
};

class Collector : public Sink {
 public:
  std::vector<Seen> seen;
  uint64_t lost = 0, last_ns = 0, exits = 0;
  bool ordered = true, keep = true;

  void on_raw(const event::Raw& raw) override {
    EXPECT_EQ(raw.what, KNELL_EVENT_LOST);
    EXPECT_TRUE(raw.u.lost.counted && raw.u.lost.exact);
    lost += raw.u.lost.count;
  }
  void on_full(const event::Full& full) override {
    ordered = ordered && full.stamp_ns >= last_ns;
    last_ns = full.stamp_ns;
    if (full.what == KNELL_EVENT_EXIT) ++exits;
    if (!keep) return;
    Seen one;
    one.what = full.what;
    one.full = full;
    one.args = full.args;
    std::ranges::replace(one.args, '\0', ' ');
    one.exe = full.exe;
    one.cwd = full.cwd;
    one.comm = text(full.comm.data());
    one.parent_comm = text(full.parent_comm.data());
    one.killer_comm = text(full.killer.comm.data());
    if (full.what == KNELL_EVENT_COMM) one.new_comm = text(full.u.new_comm);
    seen.push_back(one);
  }
  void on_process_ended(int32_t, uint64_t, bool, int32_t) override {
    ADD_FAILURE() << "a bpf source does not call this";
  }

  const Seen* find(uint32_t what, int32_t pid) const {
    const auto at = std::ranges::find_if(
        seen, [&](const Seen& one) { return one.what == what && one.full.pid == pid; });
    return at == seen.end() ? nullptr : &*at;
  }
  size_t count(uint32_t what, int32_t pid) const {
    return static_cast<size_t>(std::ranges::count_if(
        seen, [&](const Seen& one) { return one.what == what && one.full.pid == pid; }));
  }

 private:
  static std::string text(const char* bytes) { return {bytes, ::strnlen(bytes, 16)}; }
};

// With this a child reports that it is ready.
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
  static BpfOptions options(uint32_t mask) {
    BpfOptions options;
    options.wanted.mask = mask;
    options.wanted.roots = {::getpid()};
    options.wanted.only_under = true;
    return options;
  }

  void open(const BpfOptions& options) {
    if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
    auto created = Bpf::create(options);
    ASSERT_TRUE(created) << created.error().message() << "\n" << bpf_log();
    bpf_ = std::move(*created);
  }

  void drain(size_t bound = 100) {
    for (;;) {
      const auto drained = bpf_->drain(sink_, bound);
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
  const Seen* exit_of(pid_t pid) {
    EXPECT_TRUE(until([&] { return sink_.find(KNELL_EVENT_EXIT, pid) != nullptr; })) << pid;
    return sink_.find(KNELL_EVENT_EXIT, pid);
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

  std::unique_ptr<Bpf> bpf_;
  Collector sink_;
};

TEST_F(BpfTest, ReportsAnExitWithItsDetails) {
  open(options(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    (void)!::chdir("/dev");
    ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
  });
  EXPECT_EQ(reap(pid), 7 << 8);
  const Seen* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), 7 << 8);
  EXPECT_EQ(seen->full.u.exit.signal, static_cast<uint32_t>(SIGCHLD));
  EXPECT_EQ(seen->full.ppid, ::getpid());
  EXPECT_EQ(seen->full.uid, ::getuid());
  EXPECT_EQ(seen->full.gid, ::getgid());
  EXPECT_EQ(seen->full.roots, 1U);
  EXPECT_TRUE(seen->full.has_details);
  EXPECT_TRUE(seen->full.has_args);
  EXPECT_EQ(seen->args, "sh -c exit 7 ");
  EXPECT_EQ(seen->comm, "sh");
  EXPECT_EQ(seen->cwd, "/dev");
  EXPECT_THAT(seen->exe, HasSubstr("/bin/"));
  EXPECT_NE(seen->full.cgroup, 0U);
  EXPECT_NE(seen->full.start_boot_ns, 0U);
  EXPECT_EQ(seen->full.killer.cause, 0U);
}

TEST_F(BpfTest, HasArgsOfTheExecOrTheParentOnAnOlderKernel) {
  BpfOptions older = options(KNELL_EVENT_EXIT);
  older.older_kernel_for_testing = true;
  open(older);
  if (!bpf_) return;
  const pid_t program = shell("exit 3");
  reap(program);
  const pid_t copy = fork_child([] { ::_exit(4); });  // its parent is older than the programs
  reap(copy);
  const Seen* seen = exit_of(program);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->args, "sh -c exit 3 ");
  EXPECT_THAT(seen->exe, HasSubstr("/bin/"));
  seen = exit_of(copy);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), 4 << 8);
  EXPECT_THAT(seen->args, HasSubstr("_test"));
  EXPECT_THAT(seen->exe, HasSubstr("_test"));
}

TEST_F(BpfTest, SendsOnlyMarksForStatusDetails) {
  BpfOptions status = options(KNELL_EVENT_EXIT);
  status.wanted.details = KNELL_DETAILS_STATUS;
  open(status);
  if (!bpf_) return;
  const pid_t pid = fork_child([] { ::_exit(5); });
  reap(pid);
  const Seen* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), 5 << 8);
  EXPECT_EQ(seen->full.ppid, ::getpid());
  EXPECT_FALSE(seen->full.has_details);
}

TEST_F(BpfTest, ReportsOnlyNonZeroExitsIfOnlyTheyAreWanted) {
  open(options(KNELL_EVENT_NONZERO_EXIT));
  if (!bpf_) return;
  const pid_t zero = fork_child([] {});
  reap(zero);
  const pid_t one = fork_child([] { ::_exit(1); });
  reap(one);
  EXPECT_NE(exit_of(one), nullptr);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, zero), 0U);
}

TEST_F(BpfTest, ReportsNoExitWhenAWorkerExecs) {
  open(options(KNELL_EVENT_EXIT | KNELL_EVENT_EXEC));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    std::thread([] { ::execl("/bin/sh", "sh", "-c", "exit 6", nullptr); }).detach();
    for (;;) ::pause();
  });
  EXPECT_EQ(reap(pid), 6 << 8);
  const Seen* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), 6 << 8);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXEC, pid), 1U);
}

TEST_F(BpfTest, ReportsTheExitOfTheLastThreadIfTheLeaderExitsFirst) {
  open(options(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  for (const bool older : {false, true}) {
    if (older) {
      BpfOptions again = options(KNELL_EVENT_EXIT);
      again.older_kernel_for_testing = true;
      open(again);
    }
    const pid_t pid = fork_child([] {
      std::thread([] {
        ::usleep(20000);
        ::_exit(7);
      }).detach();
      ::syscall(SYS_exit, 0);
    });
    EXPECT_EQ(reap(pid), 7 << 8);
    const Seen* seen = exit_of(pid);
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(seen->status(), 7 << 8);
    EXPECT_TRUE(seen->full.has_details);
    EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  }
}

TEST_F(BpfTest, ReportsOneExitForFiftyKilledThreads) {
  open(options(KNELL_EVENT_EXIT));
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
  const Seen* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), SIGKILL);
  EXPECT_EQ(seen->full.killer.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(seen->full.killer.pid, ::getpid());
  EXPECT_EQ(seen->full.killer.uid, ::getuid());
  EXPECT_FALSE(seen->killer_comm.empty());
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(BpfTest, NamesTheKernelAsTheCauseOfAFault) {
  open(options(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    ::prctl(PR_SET_DUMPABLE, 0);
    ::signal(SIGSEGV, SIG_DFL);
    void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *static_cast<volatile char*>(page) = 1;
  });
  EXPECT_EQ(reap(pid) & 0x7f, SIGSEGV);
  const Seen* seen = exit_of(pid);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->full.killer.cause, static_cast<uint32_t>(KNELL_CAUSE_KERNEL));
  EXPECT_EQ(seen->full.killer.pid, 0);
}

TEST_F(BpfTest, ReportsExitsIfTheParentGetsNoSignal) {
  open(options(KNELL_EVENT_EXIT));
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
    const Seen* seen = exit_of(child);
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(seen->status(), 9 << 8);
    EXPECT_EQ(seen->full.ppid, parent);
    EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, child), 1U);
  }
  // A child of clone() without an exit signal has ended when it is dead, reaped or not.
  const auto silent = static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, 0));
  if (silent == 0) {
    ::usleep(20000);
    ::_exit(8);
  }
  const Seen* seen = exit_of(silent);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), 8 << 8);
  int status = 0;
  EXPECT_EQ(::waitpid(silent, &status, __WALL), silent);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(BpfTest, ReportsTheExitIfTheParentIgnoresSigchldAtTheLastMoment) {
  open(options(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  Readiness ready;
  // With much memory it takes long to die: SIGCHLD is ignored between the details and the mark.
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
  const Seen* seen = exit_of(pid);
  ::signal(SIGCHLD, before);
  ::waitpid(pid, nullptr, 0);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->status(), SIGKILL);
  EXPECT_TRUE(seen->full.has_details);
  drain();
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, pid), 1U);
}

TEST_F(BpfTest, ReportsEveryExitOfAStorm) {
  open(options(KNELL_EVENT_EXIT));
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
  open(options(KNELL_EVENT_EXIT | KNELL_EVENT_FORK));
  if (!bpf_) return;
  constexpr uint64_t kProcesses = kStorm / 4;
  const pid_t child = fork_child([] {
    for (uint64_t i = 0; i < kProcesses; i++) {
      vfork_once(0);
      if (i % 3 == 0) ::usleep(static_cast<useconds_t>(i % 200));
    }
  });
  // Sleeps each time until there is something to read; a lost wakeup lets poll() time out.
  while (sink_.exits < kProcesses + 1) {
    pollfd readable{bpf_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&readable, 1, 40'000), 1) << sink_.exits;
    drain(7);
  }
  EXPECT_EQ(sink_.seen.size(), 2 * (kProcesses + 1));
  EXPECT_TRUE(sink_.ordered);
  reap(child);
}

TEST_F(BpfTest, CountsTheLossesOfAStoppedReaderExactly) {
  BpfOptions tiny = options(KNELL_EVENT_EXIT | KNELL_EVENT_FORK);
  tiny.exit_ring_bytes = tiny.event_ring_bytes = 64U << 10;
  tiny.reserve_ring_bytes = 4096;
  open(tiny);
  if (!bpf_) return;
  uint64_t expected = 0;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 2000; i++) {
      vfork_once(1);
    }
    expected += 2 * 2000;
    drain(10);
    EXPECT_EQ(sink_.seen.size() + sink_.lost, expected);
  }
  EXPECT_GT(sink_.lost, 0U);
  EXPECT_EQ(bpf_->counters().lost, sink_.lost);
  EXPECT_TRUE(sink_.ordered);
}

TEST_F(BpfTest, DrainsNotMoreThanItsBound) {
  open(options(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  for (int i = 0; i < 20; i++) reap(fork_child([] {}));
  for (size_t drained = 0; drained < 20; drained++) {
    ASSERT_EQ(sink_.seen.size(), drained);
    ASSERT_TRUE(bpf_->drain(sink_, 1));
  }
  EXPECT_EQ(sink_.seen.size(), 20U);
  EXPECT_TRUE(sink_.ordered);
}

TEST_F(BpfTest, ReportsForkBeforeExit) {
  open(options(KNELL_EVENT_EXIT | KNELL_EVENT_FORK));
  if (!bpf_) return;
  for (int i = 0; i < 500; i++) {
    vfork_once(0);
  }
  drain();
  EXPECT_TRUE(sink_.ordered);
  ASSERT_EQ(sink_.seen.size(), 1000U);
  for (size_t i = 0; i < 1000; i += 2) {
    EXPECT_EQ(sink_.seen[i].what, KNELL_EVENT_FORK);
    EXPECT_EQ(sink_.seen[i].full.pid, ::getpid());
    EXPECT_EQ(sink_.seen[i + 1].what, KNELL_EVENT_EXIT);
    EXPECT_EQ(sink_.seen[i].full.u.child.pid, sink_.seen[i + 1].full.pid);
    EXPECT_EQ(sink_.seen[i].full.u.child.start_boot_ns, sink_.seen[i + 1].full.start_boot_ns);
  }
}

TEST_F(BpfTest, ReportsARenameButNotForAnExec) {
  open(options(KNELL_EVENT_COMM | KNELL_EVENT_EXIT));
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    ::prctl(PR_SET_NAME, "renamed");
    ::execl("/bin/sh", "sh", "-c", "exit 0", nullptr);
  });
  reap(pid);
  ASSERT_NE(exit_of(pid), nullptr);
  ASSERT_EQ(sink_.count(KNELL_EVENT_COMM, pid), 1U);
  EXPECT_EQ(sink_.find(KNELL_EVENT_COMM, pid)->new_comm, "renamed");
}

TEST_F(BpfTest, ChangesWhatIsWantedWhileRunning) {
  open(options(KNELL_EVENT_EXIT));
  if (!bpf_) return;
  SourceRequest wanted = options(KNELL_EVENT_FORK).wanted;
  ASSERT_TRUE(bpf_->set_request(wanted));
  const pid_t unwanted = fork_child([] {});
  reap(unwanted);
  wanted.mask = KNELL_EVENT_NONZERO_EXIT;
  wanted.roots = {1, ::getpid()};
  ASSERT_TRUE(bpf_->set_request(wanted));
  reap(fork_child([] {}));
  const pid_t reported = fork_child([] { ::_exit(1); });
  reap(reported);
  const Seen* seen = exit_of(reported);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->full.roots & 2U, 2U);
  EXPECT_EQ(sink_.count(KNELL_EVENT_EXIT, unwanted), 0U);
  wanted = SourceRequest{};
  wanted.mask = KNELL_EVENT_EXIT;
  wanted.any_pid = false;
  ASSERT_TRUE(bpf_->set_request(wanted));
  const pid_t stranger = fork_child([] {});
  reap(stranger);
  const pid_t named = fork_child([] { ::pause(); });
  ASSERT_TRUE(bpf_->add_pid(named));
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

TEST_F(BpfTest, ReportsEachThreadAtRawLevel) {
#ifdef KNELL_SANITIZER_THREADS
  GTEST_SKIP() << "the sanitizer has threads of its own";
#endif
  BpfOptions raw = options(KNELL_EVENT_EXIT | KNELL_EVENT_FORK);
  raw.wanted.level = KNELL_LEVEL_RAW;
  open(raw);
  if (!bpf_) return;
  const pid_t pid = fork_child([] {
    std::thread([] {}).join();
    ::_exit(2);
  });
  reap(pid);
  EXPECT_TRUE(until([&] { return sink_.count(KNELL_EVENT_EXIT, pid) == 2; }));
  for (const Seen& seen : sink_.seen) {
    if (seen.what != KNELL_EVENT_EXIT || seen.full.pid != pid) continue;
    EXPECT_EQ(seen.status(), seen.full.tid == pid ? 2 << 8 : 0);
  }
  size_t threads = 0;
  for (const Seen& seen : sink_.seen) {
    if (seen.what != KNELL_EVENT_FORK || seen.full.u.child.pid != pid) continue;
    EXPECT_EQ(seen.full.pid, ::getpid());
    if (seen.full.u.child.tid != pid) ++threads;
  }
  EXPECT_EQ(threads, 1U);
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

TEST(BpfPrivilege, ErrorNamesTheMissingCapabilities) {
  EXPECT_EQ(status_of_child_with({},
                                 [] {
                                   const auto created = Bpf::create({});
                                   if (created) return 1;
                                   if (created.error().code == ENOTSUP)
                                     return 0;  // for example, no BTF
                                   const std::string words = created.error().message();
                                   return words.find("CAP_PERFMON") == std::string::npos ? 2 : 0;
                                 }),
            0);
}

TEST(BpfPrivilege, NeedsTwoCapabilitiesAndOnlyAtCreation) {
  if (const std::string why = lacking(); !why.empty()) GTEST_SKIP() << why;
  EXPECT_EQ(status_of_child_with({CAP_BPF, CAP_PERFMON},
                                 [] {
                                   BpfOptions options;
                                   options.wanted.mask = KNELL_EVENT_EXIT;
                                   auto bpf = Bpf::create(options);
                                   if (!bpf) return 1;
                                   if (!keep_capabilities({})) return 2;
                                   SourceRequest wanted;
                                   wanted.mask = KNELL_EVENT_FORK | KNELL_EVENT_EXEC;
                                   if (!(*bpf)->set_request(wanted)) return 3;
                                   wanted.mask |= KNELL_EVENT_EXIT;
                                   wanted.roots = {::getpid()};
                                   wanted.uids = {0, 1};
                                   if (!(*bpf)->set_request(wanted)) return 4;
                                   wanted.only_under = true;
                                   vfork_once(0);
                                   Collector sink;
                                   if (!(*bpf)->drain(sink, 1000)) return 5;
                                   return sink.exits > 0 ? 0 : 6;
                                 }),
            0);
}

}  // namespace
}  // namespace knell::source
