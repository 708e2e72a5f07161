// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "base/proc_stat.h"
#include "base/unique_fd.h"
#include "lib/abi.h"

namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr pid_t kNoProcess = 4'194'304;  // above the largest possible pid
constexpr timespec kNow{0, 0};

TEST(Errno, IsNotChanged) {
  knell_event event{};
  event.size = sizeof event;
  knell_listener* k = nullptr;
  knell_options options = KNELL_OPTIONS_INIT;
  options.via = KNELL_VIA_PIDFD;
  std::array<const knell_event*, 4> events{};
  const auto keeps = [](const char* what, const std::function<void()>& call) {
    errno = EXDEV;  // a value that no call below sets
    call();
    EXPECT_EQ(errno, EXDEV) << what;
  };
  keeps("knell_wait", [&] { knell_wait(kNoProcess, &kNow, &event); });
  keeps("knell_wait", [&] { knell_wait(::getpid(), &kNow, &event); });
  keeps("knell_kill", [&] { knell_kill(kNoProcess, SIGTERM, &kNow, &event); });
  keeps("knell_match", [] { knell_check_match("under", "none"); });
  keeps("knell_events_parse", [] {
    uint32_t mask = 0;
    knell_events_parse("exti", &mask);
  });
  keeps("knell_doctor",
        [] { knell_doctor([](const knell_finding*, void*) { return 0; }, nullptr); });
  keeps("knell_open", [&] { ASSERT_EQ(knell_open(&options, &k), 0) << knell_explain(); });
  keeps("knell_add", [&] { knell_add(k, kNoProcess, 0, 0); });
  keeps("knell_read", [&] { knell_read(k, events.data(), events.size()); });
  keeps("knell_close", [&] { knell_close(k); });
}

TEST(Abi, OutOfMemoryIsAnError) {
  errno = EINTR;
  const auto fails = [] { return knell::lib::guarded([]() -> int { throw std::bad_alloc(); }); };
  EXPECT_EQ(fails(), -ENOMEM);
  EXPECT_STREQ(knell_explain(), "out of memory");
  EXPECT_EQ(errno, EINTR);
}

TEST(Match, NeedsAListenerAndCheckMatchNone) {
  EXPECT_EQ(knell_match(nullptr, "comm", "sh"), -EINVAL);
  EXPECT_EQ(knell_check_match("comm", "sh"), 0) << knell_explain();
  EXPECT_EQ(knell_check_match("com", "sh"), -EINVAL);
  EXPECT_THAT(knell_explain(), HasSubstr("comm"));
  EXPECT_EQ(knell_check_match("comm", nullptr), -EINVAL);
}

TEST(Options, InvalidOnesAreRefusedWithAReason) {
  knell_listener* k = nullptr;
  const auto refused = [&](auto member, int64_t value, const char* words) {
    knell_options options = KNELL_OPTIONS_INIT;
    options.*member = static_cast<std::remove_reference_t<decltype(options.*member)>>(value);
    EXPECT_EQ(knell_open(&options, &k), -EINVAL);
    EXPECT_THAT(knell_explain(), HasSubstr(words));
  };
  refused(&knell_options::via, KNELL_VIA_PROC, "KNELL_VIA_AUTO");
  refused(&knell_options::via, KNELL_VIA_RECORDING, "knell_open_recording()");
  refused(&knell_options::via, KNELL_VIA_PTRACE + 1, "KNELL_VIA_AUTO");
  refused(&knell_options::latency_ns, -2, "KNELL_LATENCY_NONE");
  refused(&knell_options::only_added, 2, "0 or 1");
  refused(&knell_options::recover, 2, "0 or 1");
  refused(&knell_options::reserved, 1, "must be 0");
  refused(&knell_options::args_bytes, 4097, "at most 4096");
}

TEST(Via, IsParsedAndNamed) {
  uint32_t via = 0;
  EXPECT_EQ(knell_via_parse("daemon", &via), 0);
  EXPECT_EQ(via, uint32_t{KNELL_VIA_DAEMON});
  EXPECT_STREQ(knell_via_name(via), "daemon");
  EXPECT_EQ(knell_via_parse("bfp", &via), -EINVAL);
  EXPECT_THAT(knell_explain(), HasSubstr("did you mean bpf?"));
}

// Runs `check` in a forked child; false when an expectation failed there.
bool holds_in_child(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

class Fork : public testing::TestWithParam<knell_via> {};

TEST_P(Fork, AChildMayOnlyCloseTheListener) {
  knell_listener* k = nullptr;
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_EXIT;
  options.via = GetParam();
  options.only_added = 1;
  if (knell_open(&options, &k) != 0) GTEST_SKIP() << knell_explain();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const knell::UniqueFd read_end(ends[0]);
  knell::UniqueFd write_end(ends[1]);
  const pid_t victim = ::fork();
  if (victim == 0) {
    write_end.reset();
    char byte;
    (void)!::read(read_end.get(), &byte, 1);
    ::_exit(7);
  }
  const int added = knell_add(k, victim, 0, 0);
  if (added == 0) {
    EXPECT_TRUE(holds_in_child([&] {
      const knell_event* event = nullptr;
      knell_stats stats{};
      stats.size = sizeof stats;
      knell_recorder* recorder = nullptr;
      const bool refused =
          knell_read(k, &event, 1) == -EINVAL && knell_add(k, ::getpid(), 0, 0) == -EINVAL &&
          knell_remove(k, victim) == -EINVAL && knell_match(k, "pid", "1") == -EINVAL &&
          knell_set_events(k, 0) == -EINVAL && knell_fd(k) == -EINVAL &&
          knell_get_stats(k, &stats) == -EINVAL &&
          knell_recorder_open(1, k, nullptr, &recorder) == -EINVAL;
      const bool explained =
          std::string(knell_explain()).find("a forked child") != std::string::npos;
      knell_close(k);
      return refused && explained;
    }));
  }
  write_end.reset();
  ssize_t n = 0;
  const knell_event* event = nullptr;
  while (added == 0 && n == 0) {
    pollfd ready{knell_fd(k), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, 60'000), 1);
    n = knell_read(k, &event, 1);
  }
  if (added == 0) {
    EXPECT_EQ(n, 1) << knell_explain();
    EXPECT_EQ(event->type, uint32_t{KNELL_EVENT_EXIT});
    EXPECT_EQ(event->pid, victim);
    EXPECT_EQ(event->wait_status, 7 << 8);
  }
  const std::string why = knell_explain();
  knell_close(k);
  EXPECT_EQ(::waitpid(victim, nullptr, 0), victim);
  if (added == -EPERM) GTEST_SKIP() << why;
  EXPECT_EQ(added, 0) << why;
}

INSTANTIATE_TEST_SUITE_P(Via, Fork,
                         testing::Values(KNELL_VIA_BPF, KNELL_VIA_CONNECTOR, KNELL_VIA_PIDFD,
                                         KNELL_VIA_PTRACE),
                         [](const auto& via) { return std::string(knell_via_name(via.param)); });

TEST(Wait, RefusesAThread) {
  knell_event event{};
  event.size = sizeof event;
  std::thread([&] {
    EXPECT_EQ(knell_wait(::gettid(), &kNow, &event), -ESRCH);
    EXPECT_EQ(knell_explain(), std::to_string(::gettid()) + " is a thread of process " +
                                   std::to_string(::getpid()) + ", not a process");
  }).join();
}

// Another user learns that the process is dead, although it has no status before the reap.
TEST(Wait, ReportsAProcessThatIsNotReapedAtTheTimeout) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  const pid_t zombie = ::fork();
  if (zombie == 0) ::_exit(7);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT), 0);
  for (const timespec timeout : {kNow, timespec{.tv_sec = 0, .tv_nsec = 50'000'000}}) {
    EXPECT_TRUE(holds_in_child([&] {
      knell_event event{};
      event.size = sizeof event;
      return ::setuid(65534) == 0 && knell_wait(zombie, &timeout, &event) == 0 &&
             event.type == KNELL_EVENT_EXIT && event.pid == zombie &&
             (event.has & KNELL_HAS_STATUS) == 0;
    })) << timeout.tv_nsec;
  }
  EXPECT_EQ(::waitpid(zombie, nullptr, 0), zombie);
}

TEST(Wait, TakesTheLongestTimeout) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    // Ends only once knell_wait() sleeps. With a timeout that overflows it returns at once instead.
    for (auto stat = knell::read_proc_stat(::getppid()); stat && stat->state != 'S';) {
      ::sched_yield();
      stat = knell::read_proc_stat(::getppid());
    }
    ::_exit(7);
  }
  knell_event event{};
  event.size = sizeof event;
  const timespec longest{.tv_sec = std::numeric_limits<time_t>::max(), .tv_nsec = 0};
  EXPECT_EQ(knell_wait(pid, &longest, &event), 0) << knell_explain();
  ::waitpid(pid, nullptr, 0);
}

TEST(Wait, RefusesInvalidPids) {
  knell_event event{};
  event.size = sizeof event;
  for (const pid_t pid : {0, -1}) {
    EXPECT_EQ(knell_wait(pid, &kNow, &event), -EINVAL);
    EXPECT_THAT(knell_explain(), HasSubstr("above 0, not " + std::to_string(pid)));
  }
  EXPECT_EQ(knell_wait(kNoProcess, &kNow, &event), -ESRCH);
  EXPECT_THAT(knell_explain(), StartsWith("there is no process "));
}

// A child that ends by the signal only.
pid_t sleeper() {
  const pid_t pid = ::fork();
  if (pid == 0)
    for (;;) ::pause();
  return pid;
}

TEST(Kill, ReturnsWhenTheProcessIsDead) {
  const pid_t pid = sleeper();
  knell_event event{};
  event.size = sizeof event;
  ASSERT_EQ(knell_kill(pid, SIGKILL, nullptr, &event), 0) << knell_explain();
  EXPECT_EQ(event.type, uint32_t{KNELL_EVENT_EXIT});
  EXPECT_EQ(event.pid, pid);
  EXPECT_NE(event.has & KNELL_HAS_STATUS, 0U);
  EXPECT_EQ(event.wait_status, SIGKILL);
  const auto stat = knell::read_proc_stat(pid);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'Z') << "the child is left to its parent";
  // It is a zombie: the signal does nothing, and its end is returned again.
  EXPECT_EQ(knell_kill(pid, SIGTERM, &kNow, &event), 0) << knell_explain();
  EXPECT_EQ(event.wait_status, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_EQ(knell_kill(pid, SIGKILL, &kNow, &event), -ESRCH);
}

TEST(Kill, TimesOutIfTheSignalIsIgnored) {
  ::signal(SIGUSR1, SIG_IGN);  // inherited
  const pid_t pid = sleeper();
  ::signal(SIGUSR1, SIG_DFL);
  knell_event event{};
  event.size = sizeof event;
  EXPECT_EQ(knell_kill(pid, SIGUSR1, &kNow, &event), -ETIMEDOUT);
  EXPECT_THAT(knell_explain(), HasSubstr("has got the signal"));
  EXPECT_EQ(knell_kill(pid, SIGTERM, nullptr, &event), 0) << knell_explain();
  EXPECT_EQ(event.wait_status, SIGTERM);
  ::waitpid(pid, nullptr, 0);
}

TEST(Kill, RefusesWhatItCannotSignal) {
  knell_event event{};
  event.size = sizeof event;
  for (const pid_t pid : {0, -1, ::getpid()})
    EXPECT_EQ(knell_kill(pid, SIGURG, &kNow, &event), -EINVAL) << pid;
  EXPECT_EQ(knell_kill(kNoProcess, SIGURG, &kNow, &event), -ESRCH);
  const pid_t pid = sleeper();
  for (const int signal : {0, -1, 65}) {
    EXPECT_EQ(knell_kill(pid, signal, &kNow, &event), -EINVAL) << signal;
    EXPECT_THAT(knell_explain(), HasSubstr("no signal " + std::to_string(signal)));
  }
  EXPECT_EQ(knell_kill(pid, SIGKILL, nullptr, nullptr), -EINVAL);
  std::thread([&] { EXPECT_EQ(knell_kill(::gettid(), SIGURG, &kNow, &event), -ESRCH); }).join();
  if (::getuid() == 0) {
    EXPECT_TRUE(holds_in_child(
        [&] { return ::setuid(65534) == 0 && knell_kill(pid, SIGKILL, &kNow, &event) == -EPERM; }));
  }
  EXPECT_EQ(knell_kill(pid, SIGKILL, nullptr, &event), 0) << knell_explain();
  ::waitpid(pid, nullptr, 0);
}

TEST(Add, RefusesAThreadOverPidfds) {
  knell_listener* k = nullptr;
  knell_options options = KNELL_OPTIONS_INIT;
  options.via = KNELL_VIA_PIDFD;
  ASSERT_EQ(knell_open(&options, &k), 0) << knell_explain();
  std::thread([&] {
    EXPECT_EQ(knell_add(k, ::gettid(), 0, 0), -ESRCH);
    EXPECT_THAT(knell_explain(), HasSubstr("is a thread of process"));
  }).join();
  knell_close(k);
}

// Needs no privileges: uses the pidfd source and /proc.
TEST(Snapshot, VisitsLivingMatchesParentsFirst) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.via = KNELL_VIA_PIDFD;
  knell_listener* k = nullptr;
  ASSERT_EQ(knell_open(&options, &k), 0) << knell_explain();
  ASSERT_EQ(knell_match(k, "under", std::to_string(::getpid()).c_str()), 0) << knell_explain();
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  const pid_t zombie = ::fork();
  if (zombie == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT), 0);
  std::vector<pid_t> seen;
  const auto visit = [](const knell_event* event, void* context) {
    EXPECT_EQ(event->via, uint32_t{KNELL_VIA_PROC});
    EXPECT_EQ(event->id.kind, uint32_t{KNELL_ID_START});
    EXPECT_NE(event->comm.data, nullptr);
    static_cast<std::vector<pid_t>*>(context)->push_back(event->pid);
    return 0;
  };
  EXPECT_EQ(knell_snapshot(k, visit, &seen), 0) << knell_explain();
  EXPECT_EQ(seen, (std::vector<pid_t>{::getpid(), child}));
  // A non-zero result of the visitor ends the snapshot.
  EXPECT_EQ(knell_snapshot(k, [](const knell_event*, void*) { return 5; }, nullptr), 5);
  EXPECT_EQ(knell_snapshot(k, nullptr, nullptr), -EINVAL);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::waitpid(zombie, nullptr, 0);
  knell_close(k);
}

}  // namespace
