// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/group_probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "base/pidfd.h"

namespace knell::cli {
namespace {

// Runs `act` in a process that stands for `knell run`, in a process group of its own, with a child
// that stands for CMD. The process ends when `act` returns.
class GroupProbeTest : public testing::Test {
 protected:
  GroupProbeTest() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
  }
  ~GroupProbeTest() override {
    if (command_ > 0) ::kill(command_, SIGKILL);
  }

  // Returns the wait status of that process.
  template <class Act>
  int run(Act act) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setpgid(0, 0);
      const auto signals = BlockedSignals::create();
      std::array<int, 2> here{};
      if (!signals || ::pipe2(here.data(), O_CLOEXEC) != 0) ::_exit(1);
      const pid_t command = ::fork();
      if (command == 0) {
        signals->restore();
        ::execlp("sleep", "sleep", "1000", nullptr);
        ::_exit(1);
      }
      (void)!::write(write_.get(), &command, sizeof command);
      ::dup2(write_.get(), STDERR_FILENO);
      write_.reset();
      auto probe = GroupProbe::create(*signals, command, "sleep");
      if (!probe) ::_exit(1);
      ::_exit(act(*signals, *probe, command));
    }
    write_.reset();
    EXPECT_EQ(::read(read_.get(), &command_, sizeof command_), static_cast<ssize_t>(sizeof(pid_t)));
    command_fd_ = std::move(pidfd_open(command_).value());
    read_line();  // before waitpid(): older kernels have no status of a reaped process
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }
  void read_line() {
    std::array<char, 256> bytes{};
    while (line_.find('\n') == std::string::npos) {
      const ssize_t n = ::read(read_.get(), bytes.data(), bytes.size());
      if (n <= 0) break;
      line_.append(bytes.data(), static_cast<size_t>(n));
    }
  }

  std::string line_;  // what the probe printed on standard error
  UniqueFd read_, write_, command_fd_;
  pid_t command_ = 0;
};

TEST_F(GroupProbeTest, ReceivesSignalsSentToTheGroup) {
  const int status = run([](const BlockedSignals&, GroupProbe& probe, pid_t command) {
    ::kill(command, SIGKILL);
    std::vector<siginfo_t> got;
    if (!probe.take(got) || !got.empty()) return 2;
    const pid_t sender = ::fork();
    if (sender == 0) {
      ::kill(-::getpgrp(), SIGUSR1);
      ::kill(::getppid(), SIGUSR2);
      ::_exit(0);
    }
    ::waitpid(sender, nullptr, 0);
    if (!probe.take(got) || got.size() != 1) return 3;
    return got[0].si_signo == SIGUSR1 && got[0].si_pid == sender ? 0 : 4;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(GroupProbeTest, PassesSigkillOn) {
  const int status = run([](const BlockedSignals&, GroupProbe&, pid_t) {
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(status, SIGKILL);
  EXPECT_EQ(line_, "knell: knell run was killed; sleep (pid " + std::to_string(command_) +
                       ") was killed as well\n");
  pollfd dead{command_fd_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&dead, 1, -1), 1);
  command_ = 0;
}

TEST_F(GroupProbeTest, ReportsTheRunningCommandWhenTheParentCrashes) {
  const int status = run([](const BlockedSignals& signals, GroupProbe&, pid_t) {
    signals.die(SIGSEGV);
    return 0;
  });
  EXPECT_EQ(status, SIGSEGV);
  EXPECT_EQ(line_, "knell: knell run crashed (wait status 0xb); sleep (pid " +
                       std::to_string(command_) + ") continues to run\n");
  EXPECT_FALSE(is_dead(command_fd_.get()));
}

TEST_F(GroupProbeTest, EndsWithItsObject) {
  const int status = run([](const BlockedSignals&, GroupProbe& probe, pid_t command) {
    const pid_t pid = probe.pid();
    {
      const GroupProbe gone = std::move(probe);
    }
    ::kill(command, SIGKILL);
    return ::kill(pid, 0) == 0 ? 2 : 0;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(line_, "");
}

}  // namespace
}  // namespace knell::cli
