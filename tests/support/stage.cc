// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/stage.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/result.h"
#include "support/lives.h"

namespace knell::test {

namespace {

constexpr char kPlay = 'p';
constexpr char kSentinel = 's';

bool read_all(int fd, void* to, size_t bytes) {
  auto* p = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t n = ::read(fd, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

void write_all(int fd, const void* from, size_t bytes) {
  const auto* p = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t n = ::write(fd, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    KNELL_CHECK(n > 0);
    p += n;
    bytes -= static_cast<size_t>(n);
  }
}

void play_sentinel(std::vector<Fate>& fates) {
  const pid_t pid = fork_running([] { return Stage::kSentinelStatus >> 8; });
  fates.push_back({.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = reap(pid)});
}

// A report has the begin and the end of the run, a count, and that many fates. It is written when
// the run has ended, so the reader never waits in the middle of a report.
int serve(int commands, int reports, const Scenario& scenario) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  char command;
  while (read_all(commands, &command, 1)) {
    std::vector<Fate> fates;
    const uint64_t from_ns = monotonic_now_ns();
    if (command == kPlay) scenario(fates);
    if (command == kSentinel) play_sentinel(fates);
    const uint64_t times[] = {from_ns, monotonic_now_ns()};
    write_all(reports, times, sizeof times);
    const size_t count = fates.size();
    write_all(reports, &count, sizeof count);
    write_all(reports, fates.data(), count * sizeof(Fate));
  }
  return 0;
}

}  // namespace

std::string text_of(const Fate& fate) {
  char text[160];
  (void)std::snprintf(text, sizeof text,
                      "pid %d, child of %d (born of %d), status 0x%x, %d execs, %d cores", fate.pid,
                      fate.parent, fate.born_of, static_cast<unsigned>(fate.status), fate.execs,
                      fate.cores);
  return text;
}

pid_t fork_running(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  KNELL_CHECK(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(body());
  }
  return pid;
}

namespace {

std::function<void(pid_t, int)>& before_reaping() {
  static std::function<void(pid_t, int)> hook;
  return hook;
}

int wait_status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return info.si_status << 8;
  return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

}  // namespace

void set_before_reaping(std::function<void(pid_t, int)> hook) {
  before_reaping() = std::move(hook);
}

int reap(pid_t pid, int options) {
  if (before_reaping()) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | options) != 0)
      KNELL_CHECK(errno == EINTR);
    before_reaping()(pid, wait_status_of(info));
  }
  int status = 0;
  while (::waitpid(pid, &status, options) != pid) KNELL_CHECK(errno == EINTR);
  return status;
}

// Not inlined: the vfork child could overwrite registers and stack slots of a caller.
[[gnu::noinline]] static void live_and_die(int code) {
  const pid_t pid = ::vfork();
  if (pid == 0) ::_exit(code);
  KNELL_CHECK(pid > 0);
  (void)reap(pid);
}

void storm(int count, int nth, int code) {
  for (int i = 1; i <= count; i++) live_and_die(i % nth == 0 ? code : 0);
}

Stage::Stage(const Scenario& scenario)
    : commands_(make_pipe()), reports_(make_pipe()), child_(Child::fork([&] {
        commands_.write.reset();
        reports_.read.reset();
        return serve(commands_.read.get(), reports_.write.get(), scenario);
      })) {
  commands_.read.reset();
  reports_.write.reset();
}

bool Stage::send(char command) { return ::write(commands_.write.get(), &command, 1) == 1; }

std::vector<Fate> Stage::read_report() {
  size_t count = 0;
  uint64_t times[2];
  if (!read_all(reports_.read.get(), times, sizeof times) ||
      !read_all(reports_.read.get(), &count, sizeof count)) {
    ADD_FAILURE() << "the process of the stage failed";
    return {};
  }
  std::vector<Fate> fates(count);
  if (!read_all(reports_.read.get(), fates.data(), count * sizeof(Fate)))
    ADD_FAILURE() << "the process of the stage failed";
  for (const Fate& fate : fates) {
    note_birth(fate.pid, times[0]);
    note_reaped(fate.pid, times[1]);
  }
  return fates;
}

std::vector<Fate> Stage::play(Recorder& recorder) {
  if (!send(kPlay) || !recorder.read_while_waiting_for(reports_.read.get())) {
    ADD_FAILURE() << "the scenario did not end in time";
    return {};
  }
  return read_report();
}

std::vector<Fate> Stage::play_unread() {
  begin();
  return end();
}

void Stage::begin() {
  if (!send(kPlay)) ADD_FAILURE() << "the process of the stage failed";
}

bool Stage::over(std::chrono::milliseconds wait) {
  pollfd waiting{reports_.read.get(), POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(wait.count())) > 0;
}

bool Stage::sentinel(Recorder& recorder) {
  if (!send(kSentinel) || !recorder.read_while_waiting_for(reports_.read.get())) {
    ADD_FAILURE() << "the sentinel did not end in time";
    return false;
  }
  const std::vector<Fate> fates = read_report();
  if (fates.size() != 1) return false;
  sentinels_.push_back(fates[0].pid);
  const bool received = recorder.read_until_exit_of(fates[0].pid, kSentinelStatus);
  EXPECT_TRUE(received) << "the exit of the sentinel " << fates[0].pid
                        << " was not received; received:\n"
                        << text_of(recorder.seen());
  return received;
}

}  // namespace knell::test
