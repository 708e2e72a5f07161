// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// libknell through a real knelld: the events of a program that did not request a daemon, the events
// that it may see, and the behaviour when the daemon is killed.
#include <grp.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fork_with_for_test.h"
#include "support/daemon.h"
#include "support/json.h"
#include "support/needs.h"
#include "support/recorder.h"

namespace knell::test {
namespace {

// With KNELL_TEST_VIA=daemon all tests of this program use a daemon that is started for them.
class OneForAll : public testing::Environment {
 public:
  void SetUp() override {
    if (!lacks_knelld().empty()) return;
    daemon_.emplace();
    ASSERT_TRUE(daemon_->start());
  }
  void TearDown() override { daemon_.reset(); }

 private:
  std::optional<Daemon> daemon_;
};

bool all_go_through_it() {
  const char* via = std::getenv("KNELL_TEST_VIA");
  return via != nullptr && std::string_view(via) == "daemon" &&
         std::getenv("KNELL_SOCKET") == nullptr;
}
[[maybe_unused]] const testing::Environment* const kOneForAll =
    all_go_through_it() ? testing::AddGlobalTestEnvironment(new OneForAll) : nullptr;

class ThroughKnelld : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    daemon_.emplace();
    ASSERT_TRUE(daemon_->start());
  }
  static Recorder::Wish wish(uint32_t events) { return {.events = events, .via = "daemon"}; }
  static Recorder::Wish wish_of_added() {
    return {.events = KNELL_EVENT_EXIT, .only_added = true, .via = "daemon"};
  }

  std::optional<Daemon> daemon_;
};

// Signals another process that this one is ready; await() waits for the signal.
void notify(const UniqueFd& to) { EXPECT_EQ(::write(to.get(), "x", 1), 1); }
bool await(const UniqueFd& from) {
  char byte = 0;
  return ::read(from.get(), &byte, 1) == 1;
}

// Forks a child that exits at once and is not reaped.
pid_t fork_dying(int code) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(code);
  return pid;
}

bool become_nobody() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(65534, 65534, 65534) == 0 &&
         ::setresuid(65534, 65534, 65534) == 0;
}

}  // namespace

TEST_F(ThroughKnelld, IsUsedByDefault) {
  knell_listener* k = nullptr;
  ASSERT_EQ(knell_open(nullptr, &k), 0) << knell_explain();
  knell_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(knell_get_stats(k, &stats), 0);
  knell_close(k);
  EXPECT_EQ(stats.daemon, static_cast<uint32_t>(KNELL_DAEMON_HERE));
  EXPECT_EQ(stats.scope, static_cast<uint32_t>(KNELL_SCOPE_ALL));
  EXPECT_TRUE(stats.via == KNELL_VIA_BPF || stats.via == KNELL_VIA_CONNECTOR) << stats.via;
  EXPECT_GT(stats.buffer_bytes, 0u);
}

TEST_F(ThroughKnelld, AnExitHasAllItsDetails) {
  Recorder recorder(wish(KNELL_EVENT_NONZERO_EXIT));
  Child child = Child::spawn({"/bin/sh", "-c", "exit 7"});
  ASSERT_TRUE(recorder.read_until_exit_of(child.pid()));
  const Seen seen = recorder.of(child.pid()).back();
  EXPECT_EQ(seen.status(), std::optional<int>(0x700));
  EXPECT_EQ(seen.comm, "sh");
  EXPECT_EQ(seen.user, "root") << "the daemon does not send the name";
  EXPECT_EQ(seen.raw.ppid, ::getpid());
  EXPECT_TRUE(child.wait());
}

// One listener follows a process that has ended, whose two children end with 5, and another one a
// later process with its pid, whose child ends with 6.
void expect_two_trees_of_one_pid(const std::string& source, bool restart) {
  Daemon daemon;
  daemon.configure("source = \"" + source + "\"\n");
  ASSERT_TRUE(restart ? daemon.start_supervised() : daemon.start());
  Pipe leave = make_pipe(), end = make_pipe(), begin = make_pipe();
  Child child = Child::fork([&] {
    for (int i = 0; i < 2; ++i) {
      if (::fork() != 0) continue;
      ::alarm(600);  // if the test crashes
      ::_exit(await(end.read) ? 5 : 8);
    }
    return await(leave.read) ? 0 : 1;
  });
  const pid_t pid = child.pid();
  const uint64_t start = start_of(pid);
  const Recorder::Wish wish{.events = KNELL_EVENT_EXIT,
                            .matches = {{"under", std::to_string(pid)}, {"ended", "5,6"}},
                            .via = "daemon"};
  Recorder earlier(wish);
  notify(leave.write);
  ASSERT_EQ(child.wait(), 0);
  const pid_t reused = fork_later_with(pid, start);
  if (reused == 0) {
    ::alarm(600);
    if (await(begin.read) && ::fork() == 0) ::_exit(6);
    for (;;) ::pause();
  }
  if (reused < 0) {
    notify(end.write);
    notify(end.write);
    GTEST_SKIP() << "the pid cannot be chosen, or another process has got it";
  }
  Recorder later(wish);
  if (restart) {
    EXPECT_TRUE(daemon.kill_supervised());
  }
  const auto statuses_of = [](const Recorder& recorder) {
    std::vector<int> all;
    for (const Seen& one : recorder.of_type(KNELL_EVENT_EXIT)) all.push_back(*one.status() >> 8);
    return all;
  };
  // This sends a request with the pid again.
  EXPECT_FALSE(earlier.listener().set_events(KNELL_EVENT_EXIT | KNELL_EVENT_EXEC));
  // In turns: an event of the other tree would arrive between two of the own tree.
  notify(end.write);
  EXPECT_TRUE(earlier.read_until([&] { return !statuses_of(earlier).empty(); }));
  notify(begin.write);
  EXPECT_TRUE(later.read_until([&] { return !statuses_of(later).empty(); }));
  notify(end.write);
  EXPECT_TRUE(earlier.read_until([&] { return statuses_of(earlier).size() >= 2; }));
  EXPECT_EQ(statuses_of(earlier), (std::vector{5, 5}));
  EXPECT_EQ(statuses_of(later), std::vector{6});
  ::kill(reused, SIGKILL);
  ::waitpid(reused, nullptr, 0);
}

TEST(UnderAReusedPid, IsAnotherTreeOverBpf) {
  KNELL_NEEDS(lacks_knelld());
  KNELL_NEEDS(lacks_bpf());
  expect_two_trees_of_one_pid("bpf", false);
}

TEST(UnderAReusedPid, IsAnotherTreeOverTheConnector) {
  KNELL_NEEDS(lacks_knelld());
  KNELL_NEEDS(lacks_connector());
  expect_two_trees_of_one_pid("connector", false);
}

TEST(UnderAReusedPid, IsAnotherTreeAfterARestart) {
  KNELL_NEEDS(lacks_knelld());
  KNELL_NEEDS(lacks_bpf());
  expect_two_trees_of_one_pid("bpf", true);
}

TEST_F(ThroughKnelld, FiltersAsWithoutADaemon) {
  Recorder::Wish only = wish(KNELL_EVENT_EXIT);
  only.matches = {{"user", "root"}, {"ended", "9"}, {"under", std::to_string(::getpid())}};
  Recorder recorder(only);
  Child other = Child::fork([] { return 8; });
  const pid_t other_pid = other.pid();
  ASSERT_TRUE(other.wait());
  Child child = Child::fork([] { return 9; });
  ASSERT_TRUE(recorder.read_until_exit_of(child.pid()));
  EXPECT_TRUE(recorder.of(other_pid).empty());
  EXPECT_EQ(recorder.seen().size(), 1u) << text_of(recorder.seen());
}

TEST_F(ThroughKnelld, TheRawLevelIsServed) {
  Recorder::Wish raw = wish(KNELL_EVENT_EXIT);
  raw.level = KNELL_LEVEL_RAW;
  raw.details = KNELL_DETAILS_STATUS;
  Recorder recorder(raw);
  Child child = Child::fork([] { return 7; });
  ASSERT_TRUE(recorder.read_until_exit_of(child.pid()));
  EXPECT_EQ(recorder.of(child.pid()).back().raw.exit_signal, static_cast<uint32_t>(SIGCHLD));
}

TEST_F(ThroughKnelld, ProcessThatDiesDuringAddIsReportedOnce) {
  Recorder recorder(wish_of_added());
  constexpr int kChildren = 60;
  std::vector<pid_t> added;
  for (int i = 0; i < repetitions(kChildren); i++) {
    const pid_t pid = fork_dying(1 + i % 100);
    ASSERT_FALSE(recorder.listener().add(pid, 0, static_cast<uint64_t>(pid))) << knell_explain();
    added.push_back(pid);
  }
  for (const pid_t pid : added) {
    ASSERT_TRUE(recorder.read_until([&] { return !recorder.of(pid).empty(); })) << pid;
    const std::vector<Seen> exits = recorder.of(pid);
    EXPECT_EQ(exits.size(), 1u) << text_of(exits);
    EXPECT_EQ(exits[0].raw.cookie, static_cast<uint64_t>(pid));
    EXPECT_TRUE(exits[0].status());
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
  // These processes have ended, so no further events of them follow.
  const pid_t last = fork_dying(3);
  ASSERT_FALSE(recorder.listener().add(last, 0, 1));
  ASSERT_TRUE(recorder.read_until([&] { return !recorder.of(last).empty(); }));
  EXPECT_EQ(recorder.seen().size(), added.size() + 1);
  EXPECT_EQ(::waitpid(last, nullptr, 0), last);
  EXPECT_EQ(recorder.listener().add(last, 0, 0).value(), ESRCH);
}

// Needs several requests: the library sends 64 processes with each one.
TEST_F(ThroughKnelld, ManyAddedProcessesAreReportedOnceEach) {
  Recorder recorder(wish_of_added());
  Pipe gate = make_pipe();
  std::vector<Child> children;
  std::vector<knell_added> many;
  const auto add_child = [&] {
    children.push_back(Child::fork([&] {
      gate.write.reset();
      return await(gate.read) ? 1 : 7;
    }));
    many.push_back({children.back().pid(), 0, 0, 1000 + many.size()});
  };
  for (int i = 0; i < 150; i++) add_child();
  const std::vector<knell_added> living = many;
  const pid_t zombie = fork_dying(5);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT), 0);
  const pid_t gone = fork_dying(6);
  ASSERT_EQ(::waitpid(gone, nullptr, 0), gone);
  many.insert(many.begin() + 10, knell_added{zombie, 0, 0, 1});
  many.insert(many.begin() + 20, knell_added{gone, 0, 0, 2});
  many.push_back({living[3].pid, 0, 0, 3});  // added with the first request
  many.push_back({living[4].pid, 0, start_ticks(living[4].pid) + 1, 4});  // another process
  many.push_back({0, 0, 0, 5});

  std::error_code error;
  EXPECT_EQ(recorder.listener().add(many, error), living.size() + 1) << knell_explain();
  EXPECT_FALSE(error);
  std::map<uint64_t, int> refused;
  for (const knell_added& one : many)
    if (one.error != 0) refused[one.cookie] = one.error;
  EXPECT_EQ(refused,
            (std::map<uint64_t, int>{{2, -ESRCH}, {3, -EEXIST}, {4, -ESRCH}, {5, -EINVAL}}));

  gate.write.reset();
  std::map<uint64_t, std::pair<pid_t, int>> expected{{1, {zombie, 5 << 8}}}, ended;
  for (const knell_added& one : living) expected[one.cookie] = {one.pid, 7 << 8};
  ASSERT_TRUE(recorder.read_until([&] { return recorder.seen().size() >= expected.size(); }))
      << recorder.seen().size();
  for (const Seen& seen : recorder.seen()) {
    EXPECT_TRUE(
        ended.emplace(seen.raw.cookie, std::pair(seen.pid(), seen.status().value_or(-1))).second)
        << seen.text();
  }
  EXPECT_EQ(ended, expected);
  EXPECT_EQ(::waitpid(zombie, nullptr, 0), zombie);
  // All children have ended, so none can be added again.
  for (Child& child : children) ASSERT_TRUE(child.wait());
  std::vector<knell_added> again = living;
  EXPECT_EQ(recorder.listener().add(again, error), 0u);
  EXPECT_FALSE(error);
  for (const knell_added& one : again) EXPECT_EQ(one.error, -ESRCH);
}

TEST_F(ThroughKnelld, ReconnectsAfterTheDaemonWasKilled) {
  Recorder recorder(wish(KNELL_EVENT_EXIT));
  Child before = Child::fork([] { return 3; });
  ASSERT_TRUE(recorder.read_until_exit_of(before.pid()));
  daemon_->kill();
  EXPECT_TRUE(
      recorder.read_until([&] { return recorder.listener().stats().daemon == KNELL_DAEMON_AWAY; }));
  Child missed = Child::fork([] { return 4; });
  const pid_t missed_pid = missed.pid();
  ASSERT_TRUE(missed.wait());
  ASSERT_TRUE(daemon_->start());
  ASSERT_TRUE(recorder.read_until([&] { return !recorder.of_type(KNELL_EVENT_LOST).empty(); }));
  const Seen lost = recorder.of_type(KNELL_EVENT_LOST).back();
  EXPECT_EQ(lost.raw.has & KNELL_HAS_COUNT, 0u);
  EXPECT_LT(lost.raw.lost_from_ns, lost.raw.lost_until_ns);
  EXPECT_EQ(recorder.listener().stats().daemon, static_cast<uint32_t>(KNELL_DAEMON_HERE));
  Child after = Child::fork([] { return 5; });
  ASSERT_TRUE(recorder.read_until_exit_of(after.pid()));
  EXPECT_TRUE(recorder.of(missed_pid).empty()) << "a lost event replaces it";
}

TEST_F(ThroughKnelld, AddedProcessThatDiedMeanwhileIsRecovered) {
  Recorder recorder(wish_of_added());
  Child child = Child::fork([] { return ::pause() == -1 ? 1 : 2; });
  ASSERT_FALSE(recorder.listener().add(child.pid(), 0, 9));
  daemon_->kill();
  const pid_t pid = child.pid();
  child.kill();
  ASSERT_TRUE(child.wait());
  ASSERT_TRUE(daemon_->start());
  ASSERT_TRUE(recorder.read_until([&] { return !recorder.of(pid).empty(); }));
  EXPECT_NE(recorder.of(pid).back().raw.flags & KNELL_FLAG_RECOVERED, 0u);
  EXPECT_EQ(recorder.of(pid).back().raw.cookie, 9u);
}

TEST_F(ThroughKnelld, OrdinaryUserReceivesItsOwnProcessesOnly) {
  Pipe ready = make_pipe(), go = make_pipe();
  Child nobody = Child::fork([&] {
    if (!become_nobody()) return 2;
    Recorder recorder(wish(KNELL_EVENT_EXIT));
    if (!recorder.ok()) return 3;
    const knell_stats stats = recorder.listener().stats();
    EXPECT_EQ(stats.scope, static_cast<uint32_t>(KNELL_SCOPE_USER));
    EXPECT_EQ(stats.scope_uid, 65534u);
    notify(ready.write);
    if (!await(go.read)) return 4;
    Child own = Child::fork([] { return 6; });
    EXPECT_TRUE(recorder.read_until_exit_of(own.pid()));
    for (const Seen& seen : recorder.seen()) EXPECT_EQ(seen.raw.uid, 65534u) << seen.text();
    return testing::Test::HasFailure() ? 1 : 0;
  });
  ASSERT_TRUE(await(ready.read));
  Child roots = Child::fork([] { return 5; });
  ASSERT_TRUE(roots.wait());
  notify(go.write);
  EXPECT_EQ(nobody.wait(), std::optional<int>(0))
      << "see the failures above, reported by the child";
}

TEST_F(ThroughKnelld, PidNamespaceReceivesItsOwnProcessesWithItsOwnPids) {
  Pipe ready = make_pipe(), go = make_pipe();
  Child outside = Child::fork([&] {
    if (::unshare(CLONE_NEWPID) != 0) return 2;
    const pid_t first = ::fork();
    if (first != 0) {
      int status = 0;
      return ::waitpid(first, &status, 0) == first && status == 0 ? 0 : 3;
    }
    Recorder recorder(wish(KNELL_EVENT_EXIT));
    if (!recorder.ok()) ::_exit(4);
    EXPECT_EQ(recorder.listener().stats().scope, static_cast<uint32_t>(KNELL_SCOPE_NAMESPACE));
    notify(ready.write);
    if (!await(go.read)) ::_exit(5);
    Child own = Child::fork([] { return 6; });
    EXPECT_TRUE(recorder.read_until_exit_of(own.pid()));
    EXPECT_EQ(recorder.seen().size(), 1u) << text_of(recorder.seen());
    EXPECT_EQ(recorder.of(own.pid()).back().raw.ppid, 1);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  });
  ASSERT_TRUE(await(ready.read));
  Child stranger = Child::fork([] { return 5; });
  ASSERT_TRUE(stranger.wait());
  notify(go.write);
  EXPECT_EQ(outside.wait(), std::optional<int>(0))
      << "see the failures above, reported by the child";
}

// The processes of a snapshot, by pid; without their strings, which are valid in the call only.
std::map<pid_t, knell_event> snapshot_of(Listener& listener) {
  std::map<pid_t, knell_event> all;
  const auto error = listener.snapshot([&](const knell_event& event) { all[event.pid] = event; });
  EXPECT_FALSE(error) << knell_explain();
  return all;
}

TEST_F(ThroughKnelld, ASnapshotHasTheProcessesThatMatch) {
  Recorder::Wish only = wish(KNELL_EVENT_EXIT);
  only.matches = {{"under", std::to_string(::getpid())}};
  Recorder recorder(only);
  // The shell stops itself once it has been executed.
  Child child = Child::spawn({"/bin/sh", "-c", "kill -STOP $$", "sh", "--password=hunter2"});
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
  Child zombie = Child::fork([] { return 3; });
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(zombie.pid()), &info, WEXITED | WNOWAIT), 0);
  std::map<pid_t, std::string> args;
  std::vector<pid_t> order;
  const auto error = recorder.listener().snapshot([&](const knell_event& event) {
    order.push_back(event.pid);
    args[event.pid] = std::string(view(event.args));
    EXPECT_EQ(event.type, uint32_t{KNELL_EVENT_NONE});
    EXPECT_EQ(event.via, uint32_t{KNELL_VIA_PROC});
    EXPECT_EQ(view(event.user), "root");
    EXPECT_EQ(event.id.start, start_ticks(event.pid));
  });
  ASSERT_FALSE(error) << knell_explain();
  const auto at = [&](pid_t pid) { return std::ranges::find(order, pid); };
  EXPECT_LT(at(::getpid()), at(child.pid())) << "the parent first";
  EXPECT_NE(at(child.pid()), order.end());
  EXPECT_EQ(at(zombie.pid()), order.end()) << "the zombie is dead";
  EXPECT_EQ(at(1), order.end()) << "pid 1 does not match";
  EXPECT_EQ(args[child.pid()].find("hunter2"), std::string::npos)
      << "secrets are blanked out: " << args[child.pid()];
}

TEST_F(ThroughKnelld, ASnapshotShowsAnOrdinaryUserItsOwnProcessesOnly) {
  Child nobody = Child::fork([&] {
    if (!become_nobody()) return 2;
    Recorder recorder(wish(KNELL_EVENT_EXIT));
    if (!recorder.ok()) return 3;
    Child own = Child::fork([] { return ::pause(); });
    const auto all = snapshot_of(recorder.listener());
    EXPECT_TRUE(all.contains(::getpid()));
    EXPECT_TRUE(all.contains(own.pid()));
    EXPECT_FALSE(all.contains(::getppid()));
    for (const auto& [pid, event] : all) EXPECT_EQ(event.uid, 65534u) << pid;
    if (all.contains(::getpid())) {
      EXPECT_EQ(all.at(::getpid()).ppid, ::getppid()) << "the number of a parent is shown";
    }
    return testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(nobody.wait(), std::optional<int>(0))
      << "see the failures above, reported by the child";
}

TEST_F(ThroughKnelld, ASnapshotInAPidNamespaceHasItsProcessesWithTheirPidsThere) {
  Child outside = Child::fork([&] {
    if (::unshare(CLONE_NEWPID) != 0) return 2;
    const pid_t first = ::fork();
    if (first != 0) {
      int status = 0;
      return ::waitpid(first, &status, 0) == first && status == 0 ? 0 : 3;
    }
    Recorder recorder(wish(KNELL_EVENT_EXIT));
    if (!recorder.ok()) ::_exit(4);
    Child own = Child::fork([] { return ::pause(); });
    const auto all = snapshot_of(recorder.listener());
    std::vector<pid_t> pids;
    for (const auto& [pid, event] : all) pids.push_back(pid);
    EXPECT_EQ(pids, (std::vector<pid_t>{1, own.pid()}));
    if (all.contains(1)) {
      EXPECT_EQ(all.at(1).has & KNELL_HAS_PPID, 0u) << "the parent is outside the namespace";
      EXPECT_EQ(all.at(1).parent_id.pid, 0);
      EXPECT_EQ(all.at(1).parent_comm.data, nullptr);
      EXPECT_EQ(all.at(1).id.pid, 1);
    }
    if (all.contains(own.pid())) {
      EXPECT_EQ(all.at(own.pid()).ppid, 1);
      EXPECT_EQ(all.at(own.pid()).parent_id.pid, 1);
    }
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  });
  EXPECT_EQ(outside.wait(), std::optional<int>(0))
      << "see the failures above, reported by the child";
}

TEST_F(ThroughKnelld, ASnapshotHasNoMoreDetailsThanTheListener) {
  Recorder::Wish little = wish(KNELL_EVENT_EXIT);
  little.details = KNELL_DETAILS_STATUS;
  little.matches = {{"pid", std::to_string(::getpid())}};
  Recorder recorder(little);
  size_t seen = 0;
  const auto error = recorder.listener().snapshot([&](const knell_event& event) {
    ++seen;
    EXPECT_EQ(event.pid, ::getpid());
    EXPECT_EQ(event.ppid, ::getppid());
    EXPECT_EQ(event.args.data, nullptr);
    EXPECT_EQ(event.comm.data, nullptr);
  });
  EXPECT_FALSE(error) << knell_explain();
  EXPECT_EQ(seen, 1u);
}

TEST_F(ThroughKnelld, StatusIsReturned) {
  const ssize_t size = knell_status(nullptr, 0);
  ASSERT_GT(size, 0) << knell_explain();
  std::string text(static_cast<size_t>(size) + 64, '\0');
  const ssize_t again = knell_status(text.data(), text.size());
  ASSERT_GT(again, 0);
  ASSERT_LT(static_cast<size_t>(again), text.size());
  text.resize(static_cast<size_t>(again));
  const auto said = parse_json(text);
  ASSERT_TRUE(said) << text;
  EXPECT_EQ(said->at("pid").number(), std::optional<long>(daemon_->pid()));
}

}  // namespace knell::test
