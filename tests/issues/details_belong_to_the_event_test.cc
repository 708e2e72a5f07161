// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The details of an event are those of its process at the time of the event. uid, gid, sid, ptrace
// and coredump events over bpf had what /proc showed afterwards: nothing, or another program.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "support/daemon.h"
#include "support/needs.h"
#include "support/recorder.h"

namespace knell::test {
namespace {

constexpr uid_t kNobody = 65534;

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
std::vector<std::string> own_args() {
  std::vector<std::string> words;
  const std::string text = contents("/proc/self/cmdline");
  for (size_t at = 0; at < text.size(); at = text.find('\0', at) + 1)
    words.emplace_back(text.c_str() + at);
  return words;
}
std::string own_comm() {
  std::string comm = contents("/proc/self/comm");
  comm.pop_back();
  return comm;
}

class DetailsOfTheEvent : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_root());
    KNELL_NEEDS(lacks_connector());
    if (!over_connector()) KNELL_NEEDS(lacks_bpf());
    if (via() != "daemon") return;
    KNELL_NEEDS(lacks_knelld());
    daemon_.emplace();
    ASSERT_TRUE(daemon_->start());
  }
  static std::string via() { return GetParam(); }
  static bool over_connector() { return via() == "connector"; }
  static Recorder::Wish wish(uint32_t events,
                             std::vector<std::pair<std::string, std::string>> more = {}) {
    more.emplace_back("under", std::to_string(::getpid()));
    return {.events = events, .matches = std::move(more), .via = via()};
  }
  // Over bpf every value must be known; over other sources a value may be unknown, if it was not
  // read in time.
  template <class T>
  static void expect(const std::optional<T>& reported, const T& right) {
    if (reported || !over_connector()) {
      EXPECT_EQ(reported, right);
    }
  }
  static void expect_ourselves(const Seen& event) {
    expect(event.comm, own_comm());
    expect(event.args, own_args());
    expect(event.exe, link_of("/proc/self/exe"));
  }

 private:
  std::optional<Daemon> daemon_;
};

// Changes something, and then executes another program at once.
template <class Change>
pid_t change_then_exec(const Change& change) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  change();
  ::execl("/bin/sh", "sh", "-c", "exit 9", nullptr);
  ::_exit(127);
}

}  // namespace

TEST_P(DetailsOfTheEvent, OfACrash) {
  KNELL_NEEDS(lacks_shell());
  std::vector<std::pair<std::string, std::string>> matches;
  if (!over_connector()) matches.emplace_back("comm", "sh");
  Recorder recorder(wish(KNELL_EVENT_COREDUMP | KNELL_EVENT_EXIT, std::move(matches)));
  ASSERT_TRUE(recorder.ok());
  constexpr int kCrashes = 20;
  std::vector<pid_t> crashed;
  for (int i = 0; i < kCrashes; i++) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const rlimit none{0, 0};
      ::setrlimit(RLIMIT_CORE, &none);
      ::execl("/bin/sh", "sh", "-c", "kill -SEGV $$; exit 1", nullptr);
      ::_exit(127);
    }
    ::waitpid(pid, nullptr, 0);
    crashed.push_back(pid);
  }
  if (over_connector())
    ASSERT_TRUE(recorder.read_until_exit_of(crashed.back()));
  else
    ASSERT_TRUE(
        recorder.read_until([&] { return recorder.of_type(KNELL_EVENT_EXIT).size() >= kCrashes; }));
  for (const pid_t pid : crashed) {
    const auto events = recorder.of(pid, KNELL_EVENT_COREDUMP);
    if (over_connector() && events.empty()) continue;
    ASSERT_EQ(events.size(), 1U) << pid;
    expect(events[0].comm, std::string("sh"));
    expect(events[0].args, std::vector<std::string>{"sh", "-c", "kill -SEGV $$; exit 1"});
    EXPECT_EQ(events[0].raw.ppid, ::getpid());
    if (over_connector()) continue;
    EXPECT_EQ(events[0].raw.id.kind, static_cast<uint32_t>(KNELL_ID_START));
    EXPECT_NE(events[0].raw.has & KNELL_HAS_UID, 0U);
  }
}

TEST_P(DetailsOfTheEvent, OfAChangeOfIdsAreTheNewOnes) {
  Recorder recorder(wish(KNELL_EVENT_UID | KNELL_EVENT_GID | KNELL_EVENT_EXIT));
  Recorder by_uid(wish(KNELL_EVENT_UID | KNELL_EVENT_EXIT, {{"uid", std::to_string(kNobody)}}));
  Recorder by_old(wish(KNELL_EVENT_UID | KNELL_EVENT_EXIT, {{"uid", "0"}}));
  ASSERT_TRUE(recorder.ok() && by_uid.ok() && by_old.ok());
  const pid_t pid = change_then_exec([] {
    (void)!::setgid(kNobody);
    (void)!::setuid(kNobody);
  });
  ::waitpid(pid, nullptr, 0);
  const pid_t last = change_then_exec([] {});
  ::waitpid(last, nullptr, 0);
  ASSERT_TRUE(recorder.read_until_exit_of(last));
  const auto uids = recorder.of(pid, KNELL_EVENT_UID), gids = recorder.of(pid, KNELL_EVENT_GID);
  ASSERT_EQ(uids.size(), 1U);
  ASSERT_EQ(gids.size(), 1U);
  for (const Seen& event : {uids[0], gids[0]}) {
    EXPECT_NE(event.raw.has & KNELL_HAS_GID, 0U);
    EXPECT_EQ(event.raw.gid, kNobody);
    expect_ourselves(event);
  }
  EXPECT_EQ(uids[0].raw.ruid, kNobody);
  EXPECT_EQ(uids[0].raw.euid, kNobody);
  EXPECT_EQ(gids[0].raw.rgid, kNobody);
  EXPECT_EQ(gids[0].raw.egid, kNobody);
  EXPECT_EQ(uids[0].raw.uid, kNobody);
  EXPECT_EQ(uids[0].user, "nobody");
  EXPECT_EQ(gids[0].raw.uid, 0U) << "not changed yet";
  ASSERT_TRUE(by_uid.read_until_exit_of(pid));
  EXPECT_EQ(by_uid.of(pid, KNELL_EVENT_UID).size(), 1U);
  ASSERT_TRUE(by_old.read_until_exit_of(last));
  EXPECT_TRUE(by_old.of(pid, KNELL_EVENT_UID).empty());
}

TEST_P(DetailsOfTheEvent, OfANewSession) {
  Recorder recorder(wish(KNELL_EVENT_SID | KNELL_EVENT_EXIT));
  ASSERT_TRUE(recorder.ok());
  const pid_t pid = change_then_exec([] { ::setsid(); });
  ::waitpid(pid, nullptr, 0);
  ASSERT_TRUE(recorder.read_until_exit_of(pid));
  const auto events = recorder.of(pid, KNELL_EVENT_SID);
  ASSERT_EQ(events.size(), 1U);
  expect_ourselves(events[0]);
}

TEST_P(DetailsOfTheEvent, OfATracedProcess) {
  Recorder recorder(wish(KNELL_EVENT_PTRACE | KNELL_EVENT_EXIT, {{"comm", own_comm()}}));
  ASSERT_TRUE(recorder.ok());
  Child traced = Child::fork([] { return ::pause(); });
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, traced.pid(), nullptr, nullptr), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, traced.pid(), nullptr, nullptr), 0);
  ASSERT_EQ(::waitpid(traced.pid(), nullptr, __WALL), traced.pid());
  ASSERT_EQ(::ptrace(PTRACE_DETACH, traced.pid(), nullptr, nullptr), 0);
  traced.kill();
  const pid_t pid = traced.pid();
  ASSERT_TRUE(traced.wait());
  ASSERT_TRUE(recorder.read_until_exit_of(pid));
  const auto events = recorder.of(pid, KNELL_EVENT_PTRACE);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].raw.tracer_pid, ::getpid());
  EXPECT_EQ(events[1].raw.tracer_pid, 0);
  for (const Seen& event : events) {
    EXPECT_EQ(event.comm, own_comm());
    EXPECT_EQ(event.raw.ppid, ::getpid());
    EXPECT_EQ(event.raw.uid, ::getuid());
  }
}

// The ids change in the middle of the exec: the program is already the new one, whose arguments the
// kernel does not have yet.
TEST_P(DetailsOfTheEvent, OfAnExecThatChangesIdsAreOfOneProgram) {
  const TemporaryDirectory directory;
  const std::string program = directory.path() + "/other-user";
  std::filesystem::copy_file("/bin/true", program);
  ASSERT_EQ(::chown(program.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(::chmod(program.c_str(), 04755), 0);
  Recorder recorder(wish(KNELL_EVENT_UID | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT));
  ASSERT_TRUE(recorder.ok());
  Child child = Child::spawn({program, "an argument"});
  const pid_t pid = child.pid();
  ASSERT_EQ(child.wait(), 0);
  ASSERT_TRUE(recorder.read_until_exit_of(pid));
  const auto events = recorder.of(pid, KNELL_EVENT_UID);
  if (events.empty()) GTEST_SKIP() << "set-user-ID has no effect in " << directory.path();
  EXPECT_EQ(events[0].raw.ruid, 0U);
  EXPECT_EQ(events[0].raw.euid, kNobody);
  if (over_connector()) return expect_ourselves(events[0]);  // the values before the change
  EXPECT_EQ(events[0].comm, "other-user");
  EXPECT_EQ(events[0].exe, program);
  EXPECT_EQ(events[0].args, std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Over, DetailsOfTheEvent, testing::Values("connector", "bpf", "daemon"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace knell::test
