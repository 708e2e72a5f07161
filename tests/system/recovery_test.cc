// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Recovery of lost events with the running kernel: a listener that is not read while the kernel's
// buffer overflows, and a daemon that is stopped.
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/pidfd.h"
#include "support/daemon.h"
#include "support/lives.h"
#include "support/needs.h"
#include "support/recorder.h"

namespace knell::test {
namespace {

constexpr size_t kTinyBuffer = 64 * 1024;  // room for some 150 events

// Children that wait until end(), and then exit, each with its own status.
class Crowd {
 public:
  using Status = std::function<int(int)>;
  Crowd(int size, const Status& status) {
    for (int i = 0; i < size; i++) {
      children_.push_back(Child::fork([&] {
        char byte = 0;
        return ::read(go_.read.get(), &byte, 1) == 1 ? status(i) : 99;
      }));
      pids_.push_back(children_.back().pid());
      statuses_.push_back(status(i));
    }
  }
  void end() {
    const std::string bytes(children_.size(), 'x');  // one for each
    EXPECT_EQ(::write(go_.write.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    for (Child& child : children_) EXPECT_TRUE(child.wait());
  }
  size_t size() const { return pids_.size(); }
  pid_t pid(size_t i) const { return pids_[i]; }
  int status(size_t i) const { return statuses_[i] << 8; }

 private:
  Pipe go_ = make_pipe();
  std::vector<Child> children_;
  std::vector<pid_t> pids_;
  std::vector<int> statuses_;
};

bool is_recovered(const Seen& seen) { return (seen.raw.flags & KNELL_FLAG_RECOVERED) != 0; }

// The exits of a child. A recovered exit has the time at which it was found.
std::vector<Seen> exits_of(const Recorder& recorder, pid_t pid) {
  std::vector<Seen> exits;
  for (const Seen& seen : recorder.seen())
    if (seen.type() == KNELL_EVENT_EXIT && seen.pid() == pid &&
        (is_recovered(seen) || owner_of(pid, seen.raw.mono_ns) == Owner::kChild))
      exits.push_back(seen);
  return exits;
}

bool has_every_nonzero_exit(const Recorder& recorder, const Crowd& crowd) {
  for (size_t i = 0; i < crowd.size(); i++)
    if (crowd.status(i) != 0 && exits_of(recorder, crowd.pid(i)).empty()) return false;
  return true;
}

// Each non-zero exit once, with the true status or none; other exits at most once, and only if
// their status is unknown.
void expect_each_exit_once(const Recorder& recorder, const Crowd& crowd) {
  for (size_t i = 0; i < crowd.size(); i++) {
    const std::vector<Seen> exits = exits_of(recorder, crowd.pid(i));
    if (crowd.status(i) != 0)
      EXPECT_EQ(exits.size(), 1U) << crowd.pid(i);
    else
      EXPECT_LE(exits.size(), 1U) << crowd.pid(i);
    for (const Seen& seen : exits) {
      if (seen.status())
        EXPECT_EQ(*seen.status(), crowd.status(i)) << seen.text();
      else
        EXPECT_TRUE(is_recovered(seen)) << seen.text();
    }
  }
}

// Fills the buffer of a listener that is not read.
void overflow() {
  for (int i = 0; i < 1000; i++) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(1);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
}

// Reads until the exit of a child of its own comes live. While the buffer overflows it does not,
// and another child is tried.
void read_past(Recorder& recorder) {
  for (const Deadline deadline; !deadline.passed();) {
    recorder.drain();
    Child sentinel = Child::fork([] { return 77; });
    const pid_t pid = sentinel.pid();
    EXPECT_TRUE(sentinel.wait());
    const auto seen = [&] { return !exits_of(recorder, pid).empty(); };
    if (recorder.read_until(seen, Deadline(std::chrono::seconds(1)))) return;
  }
  ADD_FAILURE() << "no exit comes any more";
}

}  // namespace

TEST(RecoverySystem, EveryNonZeroExitInAHoleOfTheConnector) {
  KNELL_NEEDS(lacks_connector());
  for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_FULL}) {
    SCOPED_TRACE(details);
    const Crowd::Status half = [](int i) { return i % 2 == 0 ? 3 + i % 50 : 0; };
    Crowd older(20, half);
    Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                       .details = details,
                       .buffer_bytes = kTinyBuffer,
                       .recover = true,
                       .via = "connector"});
    ASSERT_TRUE(recorder.ok());
    Crowd younger(4, half);
    read_past(recorder);  // also reads the forks
    overflow();
    older.end();
    younger.end();
    ASSERT_TRUE(recorder.read_until([&] { return has_every_nonzero_exit(recorder, older); }))
        << text_of(recorder.seen());
    EXPECT_FALSE(recorder.of_type(KNELL_EVENT_LOST).empty());
    read_past(recorder);
    expect_each_exit_once(recorder, older);
    // Other processes may have made the buffer overflow when these were forked.
    for (size_t i = 0; i < younger.size(); i++)
      EXPECT_LE(exits_of(recorder, younger.pid(i)).size(), 1U);
    const Seen seen = exits_of(recorder, older.pid(0)).front();
    EXPECT_TRUE(is_recovered(seen));
    EXPECT_EQ(seen.raw.has & KNELL_HAS_DURATION, 0U) << "the time of its end is unknown";
    if (details == KNELL_DETAILS_FULL) {
      EXPECT_TRUE(seen.comm && seen.args && seen.user) << seen.text();
      EXPECT_EQ(seen.raw.ppid, ::getpid());
    }
  }
}

TEST(RecoverySystem, WithoutItAHoleIsOnlyCounted) {
  KNELL_NEEDS(lacks_connector());
  Crowd crowd(4, [](int) { return 5; });
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                     .details = KNELL_DETAILS_STATUS,
                     .buffer_bytes = kTinyBuffer,
                     .via = "connector"});
  ASSERT_TRUE(recorder.ok());
  overflow();
  crowd.end();
  read_past(recorder);
  EXPECT_FALSE(recorder.of_type(KNELL_EVENT_LOST).empty());
  EXPECT_FALSE(std::ranges::any_of(recorder.seen(), is_recovered));
}

// Their pidfds are kept open, so their statuses are known.
TEST(RecoverySystem, AddedProcessesHaveTheirStatus) {
  KNELL_NEEDS(lacks_connector());
  Crowd crowd(10, [](int i) { return i; });
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                     .details = KNELL_DETAILS_STATUS,
                     .buffer_bytes = kTinyBuffer,
                     .only_added = true,
                     .recover = true,
                     .via = "connector"});
  ASSERT_TRUE(recorder.ok());
  for (size_t i = 0; i < crowd.size(); i++)
    ASSERT_FALSE(recorder.listener().add(crowd.pid(i), 0, i + 1));
  overflow();
  crowd.end();
  ASSERT_TRUE(recorder.read_until([&] { return has_every_nonzero_exit(recorder, crowd); }));
  expect_each_exit_once(recorder, crowd);
  if (pidfd_features().exit_info) {
    EXPECT_TRUE(exits_of(recorder, crowd.pid(0)).empty()) << "exit 0 is not wanted";
    for (size_t i = 1; i < crowd.size(); i++) {
      const Seen seen = exits_of(recorder, crowd.pid(i)).front();
      EXPECT_EQ(seen.status(), crowd.status(i)) << seen.text();
      EXPECT_EQ(seen.raw.cookie, i + 1);
    }
  }
  EXPECT_EQ(recorder.listener().remove(crowd.pid(1)).value(), ENOENT) << "it has ended";
}

TEST(RecoverySystem, AForkAndAnExecInAHoleOfTheConnector) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT,
                     .buffer_bytes = kTinyBuffer,
                     .recover = true,
                     .via = "connector"});
  ASSERT_TRUE(recorder.ok());
  overflow();
  Child child = Child::spawn({"/bin/sleep", "1000"});
  ASSERT_TRUE(wait_for_exec(child.pid(), std::filesystem::canonical("/bin/sleep")));
  const auto recovered = [&](uint32_t type) {
    return std::ranges::count_if(recorder.seen(), [&](const Seen& seen) {
      const pid_t pid = type == KNELL_EVENT_FORK ? seen.raw.child_pid : seen.pid();
      return is_recovered(seen) && seen.type() == type && pid == child.pid();
    });
  };
  ASSERT_TRUE(recorder.read_until([&] { return recovered(KNELL_EVENT_EXEC) > 0; }));
  EXPECT_EQ(recovered(KNELL_EVENT_FORK), 1);
  EXPECT_EQ(recovered(KNELL_EVENT_EXEC), 1);
  for (const Seen& seen : recorder.seen()) {
    if (!is_recovered(seen)) continue;
    if (seen.type() == KNELL_EVENT_FORK && seen.raw.child_pid == child.pid()) {
      EXPECT_EQ(seen.pid(), ::getpid()) << seen.text();
    }
    if (seen.type() == KNELL_EVENT_EXEC && seen.pid() == child.pid()) {
      EXPECT_EQ(seen.comm, "sleep") << seen.text();
    }
  }
}

// A thousand children die while knelld is stopped.
TEST(RecoverySystem, EveryNonZeroExitWhileTheDaemonIsStopped) {
  KNELL_NEEDS(lacks_knelld());
  for (const char* source : {"auto", "connector"}) {
    SCOPED_TRACE(source);
    Daemon daemon;
    daemon.configure("source = \"" + std::string(source) + "\"\n");
    ASSERT_TRUE(daemon.start());
    Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .recover = true, .via = "daemon"});
    Recorder other({.events = KNELL_EVENT_NONZERO_EXIT, .via = "daemon"});
    ASSERT_TRUE(recorder.ok() && other.ok());
    std::vector<pid_t> nonzero;
    ASSERT_EQ(::kill(daemon.pid(), SIGSTOP), 0);
    for (int i = 0; i < 1000; i++) {
      const uint64_t born = monotonic_now_ns();
      const pid_t pid = ::fork();
      if (pid == 0) ::_exit(i % 10 == 0 ? 6 : 0);
      EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
      if (i % 10 == 0) {
        nonzero.push_back(pid);
        note_birth(pid, born);
        note_reaped(pid, monotonic_now_ns());
      }
    }
    ASSERT_EQ(::kill(daemon.pid(), SIGCONT), 0);
    read_past(recorder);
    uint64_t lost = 0, missing = 0;
    for (const Seen& hole : recorder.of_type(KNELL_EVENT_LOST)) lost += hole.raw.lost_count;
    for (const pid_t pid : nonzero) {
      const auto exits = exits_of(recorder, pid);
      EXPECT_LE(exits.size(), 1U);
      missing += exits.empty() ? 1 : 0;
      for (const Seen& seen : exits) EXPECT_EQ(seen.status().value_or(6 << 8), 6 << 8);
    }
    EXPECT_LE(missing, lost);
    read_past(other);
    EXPECT_FALSE(std::ranges::any_of(other.seen(), is_recovered));
  }
}

}  // namespace knell::test
