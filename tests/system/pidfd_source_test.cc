// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The pidfd source and the code behind it, against the live kernel: children, other processes,
// zombies, and what an unprivileged user may learn about root's processes.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstddef>
#include <thread>

#include "base/proc_stat.h"
#include "source/pidfd/pidfd.h"
#include "support/command.h"
#include "support/needs.h"
#include "system/collector.h"

namespace knell::test {
namespace {

using source::PidfdSource;

std::unique_ptr<PidfdSource> open(SourceCollector& collector) {
  auto source = PidfdSource::create(collector.out);
  EXPECT_TRUE(source.has_value()) << source.error().message();
  return source ? *std::move(source) : nullptr;
}

// Waits until the end of the process is reported. Returns its status, or "unknown"; "nothing": it
// was not reported.
std::string reported_end(PidfdSource& source, SourceCollector& collector, int32_t pid) {
  const auto reported = [&] { return collector.find(KNELL_EVENT_EXIT, pid); };
  if (!collector.read_until(source, [&] { return reported() != nullptr; })) return "nothing";
  const knell_event& exit = reported()->event;
  return (exit.has & KNELL_HAS_STATUS) != 0 ? std::to_string(exit.wait_status) : "unknown";
}

// A process that is not a child of this process; its parent reaps it or leaves it a zombie.
class Stranger {
 public:
  enum class Parent { kReaps, kNeverReaps };
  Stranger(Parent parent, int status)
      : parent_(Child::fork([&] {
          const pid_t pid = ::fork();
          if (pid == 0) {
            char go;
            commands_.write.reset();
            ::_exit(::read(commands_.read.get(), &go, 1) == 1 ? status : 99);
          }
          if (::write(reports_.write.get(), &pid, sizeof pid) != sizeof pid) return 1;
          if (parent == Parent::kReaps) {
            ::waitpid(pid, nullptr, 0);
          } else {
            for (;;) ::pause();
          }
          return 0;
        })) {
    KNELL_CHECK(::read(reports_.read.get(), &pid_, sizeof pid_) == sizeof pid_);
  }
  pid_t pid() const { return pid_; }
  void end() { KNELL_CHECK(::write(commands_.write.get(), "!", 1) == 1); }
  // Makes the process exit, and waits until it is dead or, if its parent reaps, until it was
  // reaped.
  void end_and_wait(Parent parent) {
    end();
    if (parent == Parent::kReaps) {
      parent_.wait();
      return;
    }
    for (const Deadline deadline; !deadline.passed();) {
      const auto stat = read_proc_stat(pid_);
      if (!stat || stat->state == 'Z') return;
      std::this_thread::yield();
    }
  }

 private:
  Pipe commands_ = make_pipe(), reports_ = make_pipe();
  Child parent_;
  pid_t pid_ = 0;
};

// From here on this process has no pidfds, as before Linux 5.3.
bool deny_pidfds() {
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

class Pidfd : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!pidfd_features().open) GTEST_SKIP() << "this kernel has no pidfds";
    KNELL_NEEDS(lacks_file("/proc/self/stat"));
  }
};

TEST_F(Pidfd, OwnChildIsReportedAndNotReaped) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  Child child = Child::fork([] { return 7; });
  ASSERT_TRUE(source->add_pid(child.pid(), start_ticks(child.pid())).has_value());
  EXPECT_EQ(reported_end(*source, collector, child.pid()), std::to_string(7 << 8));
  EXPECT_EQ(source->size(), 0U) << "an ended process is removed automatically";
  EXPECT_EQ(child.wait(), 7 << 8);
  collector.drain(*source);
  EXPECT_EQ(collector.events.size(), 1U) << "reported once";
  EXPECT_EQ(collector.ended.size(), 1U);
}

// After setuid() the caller may not read the child's /proc, nor its zombie's; as its parent it
// still gets the status.
TEST_F(Pidfd, OwnChildIsReportedWithoutReadingItsZombie) {
  KNELL_NEEDS(lacks_root());
  const std::string reported = in_child([]() -> std::string {
    if (!become_nobody()) return "cannot become nobody";
    SourceCollector collector;
    const auto source = PidfdSource::create(collector.out);
    if (!source) return source.error().message();
    Child child = Child::fork([] { return 7; });
    if (!(*source)->add_pid(child.pid(), 0)) return "cannot add";
    return reported_end(**source, collector, child.pid());
  });
  EXPECT_EQ(reported, std::to_string(7 << 8));
}

TEST_F(Pidfd, SignalAndCoreAreReportedAsByWait) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  no_core_files();
  for (const int signal : {SIGKILL, SIGQUIT}) {
    Child child = Child::fork([] {
      for (;;) ::pause();
      return 0;
    });
    ASSERT_TRUE(source->add_pid(child.pid(), 0).has_value());
    collector.drain(*source);
    EXPECT_TRUE(collector.events.empty());
    child.kill(signal);
    EXPECT_EQ(reported_end(*source, collector, child.pid()), std::to_string(signal));
    EXPECT_EQ(child.wait(), signal);
    collector.events.clear();
  }
}

TEST_F(Pidfd, StrangerReapedByItsParent) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  Stranger stranger(Stranger::Parent::kReaps, 7);
  ASSERT_TRUE(source->add_pid(stranger.pid(), 0).has_value());
  stranger.end_and_wait(Stranger::Parent::kReaps);
  const std::string reported = reported_end(*source, collector, stranger.pid());
  EXPECT_EQ(reported, pidfd_features().exit_info ? std::to_string(7 << 8) : "unknown");
}

TEST_F(Pidfd, ZombieOfAStrangerIsReported) {
  KNELL_NEEDS(lacks_root());
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  for (const int status : {7, 0}) {
    Stranger stranger(Stranger::Parent::kNeverReaps, status);
    stranger.end_and_wait(Stranger::Parent::kNeverReaps);
    ASSERT_TRUE(source->add_pid(stranger.pid(), start_ticks(stranger.pid())).has_value())
        << "a zombie can still be added";
    EXPECT_EQ(reported_end(*source, collector, stranger.pid()), std::to_string(status << 8));
  }
}

TEST_F(Pidfd, DetailsAndOwnerAreReadWhenAProcessIsAdded) {
  for (const auto parent : {Stranger::Parent::kReaps, Stranger::Parent::kNeverReaps})
    for (const uint32_t details : {KNELL_DETAILS_FULL, KNELL_DETAILS_STATUS}) {
      SourceCollector collector;
      const auto source = open(collector);
      ASSERT_TRUE(source);
      ASSERT_TRUE(source->set_request(
          {.mask = KNELL_EVENT_EXIT, .details = details, .owners = true, .namespaces = true}));
      Stranger stranger(parent, 7);
      const uint64_t start = start_ticks(stranger.pid());
      ASSERT_TRUE(source->add_pid(stranger.pid(), 0).has_value());
      stranger.end_and_wait(parent);
      ASSERT_NE(reported_end(*source, collector, stranger.pid()), "nothing");
      const source::KeptEvent& exit = *collector.find(KNELL_EVENT_EXIT, stranger.pid());
      EXPECT_NE(exit.event.has & KNELL_HAS_UID, 0u);
      EXPECT_EQ(exit.event.uid, ::getuid());
      EXPECT_TRUE(exit.levels_known);
      const bool full = details == KNELL_DETAILS_FULL;
      EXPECT_EQ(source::text_of(exit.event.comm), full ? lines_of("/proc/self/comm")[0] : "");
      EXPECT_EQ(exit.event.args.data != nullptr, full);
      EXPECT_EQ(exit.event.exe.data != nullptr, full);
      EXPECT_EQ(exit.event.flags & KNELL_FLAG_DETAILS_LOST, 0u);
      ASSERT_EQ(collector.ended.size(), 1U);
      EXPECT_EQ(collector.ended[0].start, full ? start : 0);
    }
}

TEST_F(Pidfd, AProgramFromBeforeAnExecIsNotShown) {
  KNELL_NEEDS(lacks_shell());
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  ASSERT_TRUE(source->set_request({.mask = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_FULL}));
  Pipe go = make_pipe();
  Child child = Child::fork([&] {
    go.write.reset();
    char byte;
    (void)!::read(go.read.get(), &byte, 1);
    return ::execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
  });
  ASSERT_TRUE(source->add_pid(child.pid(), 0).has_value());
  go.write.reset();
  ASSERT_EQ(reported_end(*source, collector, child.pid()), std::to_string(7 << 8));
  const source::KeptEvent& exit = *collector.find(KNELL_EVENT_EXIT, child.pid());
  EXPECT_EQ(source::text_of(exit.event.comm), "sh");
  EXPECT_EQ(exit.event.args.data, nullptr);
  EXPECT_EQ(exit.event.exe.data, nullptr);
  EXPECT_EQ(exit.event.cwd.data, nullptr);
  EXPECT_EQ(exit.event.ppid, ::getpid());
}

TEST_F(Pidfd, DetailsOfAZombieAreCertain) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  ASSERT_TRUE(source->set_request({.mask = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_FULL}));
  Child child = Child::fork([] { return 7; });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  ASSERT_TRUE(source->add_pid(child.pid(), 0).has_value());
  const pid_t pid = child.pid();
  EXPECT_EQ(child.wait(), 7 << 8);  // before the source is read
  ASSERT_NE(reported_end(*source, collector, pid), "nothing");
  const knell_event& exit = collector.find(KNELL_EVENT_EXIT, pid)->event;
  EXPECT_EQ(source::text_of(exit.comm), lines_of("/proc/self/comm")[0]);
  EXPECT_NE(exit.flags & KNELL_FLAG_DETAILS_LOST, 0u) << "the program of a zombie is unknown";
}

TEST_F(Pidfd, UserNobodyGetsTheStatusOfRootsProcessWhenItIsReaped) {
  KNELL_NEEDS(lacks_root());
  Stranger stranger(Stranger::Parent::kReaps, 9);
  const std::string reported = in_child([&]() -> std::string {
    if (!become_nobody()) return "cannot become nobody";
    SourceCollector collector;
    const auto source = PidfdSource::create(collector.out);
    if (!source) return source.error().message();
    if (const auto added = (*source)->add_pid(stranger.pid(), 0); !added) {
      return added.error().message();
    }
    stranger.end();
    return reported_end(**source, collector, stranger.pid());
  });
  EXPECT_EQ(reported, pidfd_features().exit_info ? std::to_string(9 << 8) : "unknown");
}

// The caller may not read the status of the zombie. The 0 in /proc must not be used as the status.
TEST_F(Pidfd, UserNobodyFinallyGetsUnknownForRootsZombie) {
  KNELL_NEEDS(lacks_root());
  for (const int status : {9, 0}) {
    Stranger stranger(Stranger::Parent::kNeverReaps, status);
    stranger.end_and_wait(Stranger::Parent::kNeverReaps);
    const std::string reported = in_child([&]() -> std::string {
      if (!become_nobody()) return "cannot become nobody";
      FakeClock clock;
      clock.now_ns = 1;  // so that the timer, which uses the real clock, has expired when it is set
      SourceCollector collector(256, clock);
      const auto source = PidfdSource::create(collector.out);
      if (!source) return source.error().message();
      if (!(*source)->add_pid(stranger.pid(), 0)) return "cannot add";
      collector.drain(**source);
      if (pidfd_features().exit_info && !collector.events.empty()) return "did not wait";
      clock.now_ns += 1'000'000'000;
      return reported_end(**source, collector, stranger.pid());
    });
    EXPECT_EQ(reported, "unknown");
  }
}

TEST_F(Pidfd, LeaderThatExitsFirstIsNotTheEnd) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  Pipe pipe = make_pipe();
  Child child = Child::fork([&] {
    pipe.write.reset();
    std::thread([&] {
      char byte;
      while (::read(pipe.read.get(), &byte, 1) > 0) {
      }
      ::_exit(7);
    }).detach();
    ::syscall(SYS_exit, 0);
    return 1;
  });
  ASSERT_TRUE(source->add_pid(child.pid(), 0).has_value());
  for (const Deadline deadline; !deadline.passed();) {
    const auto stat = read_proc_stat(child.pid());
    ASSERT_TRUE(stat.has_value());
    if (stat->state == 'Z') break;
    std::this_thread::yield();
  }
  collector.drain(*source);
  EXPECT_TRUE(collector.events.empty());
  pipe.write.reset();
  EXPECT_EQ(reported_end(*source, collector, child.pid()), std::to_string(7 << 8));
  child.wait();
}

TEST_F(Pidfd, InvalidAddsAreRefused) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  const pid_t gone = exited_child(0);
  const Child child = Child::fork([] {
    for (;;) ::pause();
    return 0;
  });
  const auto code = [](const Result<void>& result) { return result ? 0 : result.error().code; };
  EXPECT_EQ(code(source->add_pid(gone, 0)), ESRCH);
  EXPECT_EQ(code(source->add_pid(child.pid(), start_ticks(child.pid()) + 1)), ESRCH);
  EXPECT_EQ(code(source->add_pid(child.pid(), start_ticks(child.pid()))), 0);
  EXPECT_EQ(code(source->add_pid(child.pid(), 0)), EEXIST);
  EXPECT_EQ(code(source->remove_pid(gone)), ENOENT);
  EXPECT_EQ(source->size(), 1U);
}

TEST_F(Pidfd, RemovedProcessIsNotReported) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  Child child = Child::fork([] {
    for (;;) ::pause();
    return 0;
  });
  ASSERT_TRUE(source->add_pid(child.pid(), 0).has_value());
  ASSERT_TRUE(source->remove_pid(child.pid()).has_value());
  child.kill();
  child.wait();
  collector.drain(*source);
  EXPECT_TRUE(collector.events.empty());
}

TEST_F(Pidfd, ManyAreReportedWithinTheBound) {
  SourceCollector collector;
  const auto source = open(collector);
  ASSERT_TRUE(source);
  Pipe go = make_pipe();
  std::vector<Child> children;
  const int count = repetitions(200);
  for (int i = 0; i < count; i++) {
    children.push_back(Child::fork([&, i] {
      char byte;
      // The read returns when the last writer has closed the pipe.
      ::close(go.write.get());
      return ::read(go.read.get(), &byte, 1) == 0 ? i % 100 : 101;
    }));
    ASSERT_TRUE(source->add_pid(children.back().pid(), 0).has_value());
  }
  go.write.reset();
  const Deadline deadline;
  while (collector.events.size() < children.size() && !deadline.passed()) {
    const size_t before = collector.events.size();
    ASSERT_TRUE(collector.drain_once(*source, 3).has_value());
    ASSERT_LE(collector.events.size(), before + 3);
  }
  ASSERT_EQ(collector.events.size(), children.size());
  for (size_t i = 0; i < children.size(); i++) {
    const std::string expected = std::to_string(static_cast<int>(i % 100) << 8);
    EXPECT_EQ(reported_end(*source, collector, children[i].pid()), expected);
  }
}

TEST_F(Pidfd, AddIsRefusedWhereThereAreNone) {
  const std::string text = in_child([]() -> std::string {
    if (!deny_pidfds()) return "cannot deny";
    SourceCollector collector;
    const auto source = PidfdSource::create(collector.out);
    if (!source) return source.error().message();
    const auto added = (*source)->add_pid(::getpid(), 0);
    return added ? "added" : std::to_string(added.error().code) + added.error().message();
  });
  EXPECT_TRUE(text.starts_with(std::to_string(EPROTONOSUPPORT))) << text;
  EXPECT_NE(text.find("Linux 5.3"), std::string::npos) << text;
}

TEST_F(Pidfd, AListOfProcessesNeedsNone) {
  KNELL_NEEDS(lacks_knell_command());
  const std::string self = std::to_string(::getpid());
  Child tree = Child::fork([&] {
    if (!deny_pidfds()) return 99;
    return ::execl(knell_binary().c_str(), "knell", "tree", "-d", "0", "--pid", self.c_str(),
                   nullptr);
  });
  EXPECT_EQ(tree.wait(), 0);
}

TEST_F(Pidfd, NoDescriptorLeftIsExplained) {
  const std::string text = in_child([]() -> std::string {
    SourceCollector collector;
    const auto source = PidfdSource::create(collector.out);
    if (!source) return source.error().message();
    const rlimit few{3, 3};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return "cannot limit";
    const auto added = (*source)->add_pid(::getpid(), 0);
    return added ? "added" : std::to_string(added.error().code) + added.error().message();
  });
  EXPECT_TRUE(text.starts_with(std::to_string(EMFILE))) << text;
  EXPECT_NE(text.find("ulimit -n"), std::string::npos) << text;
}

TEST_F(Pidfd, ZombieStatusDistinguishesZeroFromHidden) {
  KNELL_NEEDS(lacks_root());
  for (const int status : {7, 0}) {
    Stranger stranger(Stranger::Parent::kNeverReaps, status);
    EXPECT_EQ(zombie_status(stranger.pid()), std::nullopt) << "it lives";
    stranger.end_and_wait(Stranger::Parent::kNeverReaps);
    EXPECT_EQ(zombie_status(stranger.pid()), status << 8);
    const std::string secret = in_child([&]() -> std::string {
      if (!become_nobody()) return "cannot become nobody";
      return zombie_status(stranger.pid()) ? "known" : "unknown";
    });
    EXPECT_EQ(secret, "unknown");
    const std::string own = in_child([&]() -> std::string {
      if (!become_nobody()) return "cannot become nobody";
      // Makes this process dumpable again, as an ordinary program of that user is
      ::prctl(PR_SET_DUMPABLE, 1);
      Stranger mine(Stranger::Parent::kNeverReaps, status);
      mine.end_and_wait(Stranger::Parent::kNeverReaps);
      return std::to_string(zombie_status(mine.pid()).value_or(-1));
    });
    EXPECT_EQ(own, std::to_string(status << 8));
  }
}

TEST_F(Pidfd, FeaturesAreThoseOfTheKernel) {
  const PidfdFeatures features = pidfd_features();
  EXPECT_TRUE(features.open);
  Child child = Child::fork([] { return 4; });
  const auto pidfd = pidfd_open(child.pid());
  ASSERT_TRUE(pidfd.has_value());
  const pid_t pid = child.pid();
  child.wait();
  const auto gone = try_pidfd_open(pid);
  EXPECT_TRUE(!gone && gone.error() == ESRCH);
  EXPECT_TRUE(is_dead(pidfd->get()));
  EXPECT_EQ(exit_info(pidfd->get()),
            features.exit_info ? std::optional<int32_t>(4 << 8) : std::nullopt);
}

}  // namespace
}  // namespace knell::test
