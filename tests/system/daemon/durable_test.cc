// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Durable listeners of a real knelld, with processes that are killed at the wrong moment: what was
// delivered is what waitpid(2) says.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <knell/knell.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "support/patience.h"

namespace knell::test {
namespace {

pid_t exiting_child(int code) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(code);
  return pid;
}

class DurableListener : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    // Its children inherit the name. Other programs of this machine also exit with a status, and
    // their events would count for the limits of a listener of all processes.
    name_ = "durable-" + std::to_string(::getpid());
    ASSERT_EQ(::prctl(PR_SET_NAME, name_.c_str()), 0);
    daemon_ = std::make_unique<Daemon>();
    daemon_->configure("[journal]\npath = \"" + folder_.path() + "/journal.db\"\n");
    ASSERT_TRUE(daemon_->start());
  }
  void restart() {
    daemon_->kill();
    ASSERT_TRUE(daemon_->start());
  }

  // A child that exits with a code other than 0: noted in happened_.
  void fail(int count) {
    for (int i = 0; i < count; ++i) {
      const int code = 1 + (++failures_ % 200);
      const pid_t pid = exiting_child(code);
      ASSERT_GT(pid, 0);
      int status = 0;
      ASSERT_EQ(::waitpid(pid, &status, 0), pid);
      happened_.emplace_back(pid, status);
    }
  }

  static Options options(const std::string& name) {
    Options options;
    options.events = KNELL_EVENT_NONZERO_EXIT;
    options.durable = name.c_str();
    return options;
  }
  // The exits of this process's children.
  Listener open(const std::string& name, uint32_t from = 0, uint32_t most = 0) const {
    Options asked = options(name);
    asked.from = from;
    asked.max_unacked = most;
    Listener listener(asked);
    EXPECT_FALSE(listener.match("comm", name_)) << knell_explain();
    EXPECT_FALSE(listener.flush_acks()) << knell_explain();
    return listener;
  }
  struct Seen {
    std::string id;
    pid_t pid = 0;
    int status = 0;
    bool redelivered = false;
    std::string cursor;
  };
  // Reads until `count` exits were seen; adds them to `seen`.
  static void read(Listener& listener, size_t count, std::vector<Seen>& seen) {
    for (const Deadline deadline; seen.size() < count && !deadline.passed();) {
      std::error_code error;
      bool any = false;
      for (const knell_event& event : listener.read(error)) {
        any = true;
        EXPECT_NE(event.cursor.data, nullptr);
        if (event.type != KNELL_EVENT_EXIT) continue;
        seen.push_back({.id = text(event.id),
                        .pid = event.pid,
                        .status = event.wait_status,
                        .redelivered = (event.flags & KNELL_FLAG_REDELIVERED) != 0,
                        .cursor = std::string(event.cursor.data, event.cursor.size)});
      }
      ASSERT_FALSE(error) << knell_explain();
      if (any) continue;
      pollfd ready{.fd = listener.fd(), .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, deadline.left_ms());
    }
    ASSERT_GE(seen.size(), count);
  }
  static std::error_code ack(Listener& listener, const Seen& seen) {
    knell_event event{};
    event.size = sizeof event;
    event.cursor = {seen.cursor.data(), seen.cursor.size()};
    return listener.ack(event);
  }
  // Every event once, in the order of the first delivery.
  static std::vector<std::pair<pid_t, int>> once(const std::vector<Seen>& seen) {
    std::vector<std::pair<pid_t, int>> all;
    std::map<std::string, int> known;
    for (const Seen& one : seen)
      if (known[one.id]++ == 0) all.emplace_back(one.pid, one.status);
    return all;
  }

  TemporaryDirectory folder_;
  std::string name_;
  std::unique_ptr<Daemon> daemon_;
  std::vector<std::pair<pid_t, int>> happened_;
  int failures_ = 0;
};

// A listener in a process of its own, which writes a line for each event, acknowledges it, or not,
// and is killed with SIGKILL in between. Then knelld is killed, too.
TEST_F(DurableListener, WhatWasDeliveredIsWhatHappenedWhoeverIsKilled) {
  {
    open("t");
  }
  const Pipe lines = make_pipe();
  Child child = Child::fork([&] {
    Listener listener = open("t");
    std::vector<Seen> seen;
    for (size_t i = 0;; ++i) {
      read(listener, i + 1, seen);
      for (; i < seen.size(); ++i) {
        const std::string line = seen[i].id + " " + std::to_string(seen[i].pid) + " " +
                                 std::to_string(seen[i].status) + "\n";
        if (::write(lines.write.get(), line.data(), line.size()) < 0) return 1;
        if (i == 6 && (ack(listener, seen[i]) || listener.flush_acks())) return 2;
      }
      --i;
    }
    return 0;
  });
  fail(20);
  std::string said;
  for (const Deadline deadline;
       std::count(said.begin(), said.end(), '\n') < 12 && !deadline.passed();) {
    pollfd ready{.fd = lines.read.get(), .events = POLLIN, .revents = 0};
    char some[512];
    if (::poll(&ready, 1, deadline.left_ms()) <= 0) break;
    const ssize_t n = ::read(lines.read.get(), some, sizeof some);
    if (n <= 0) break;
    said.append(some, static_cast<size_t>(n));
  }
  const pid_t killed = child.pid();
  child.kill();
  const auto ended = child.wait();
  ASSERT_TRUE(ended);
  happened_.emplace_back(killed, *ended);  // a child of this process, too
  std::vector<Seen> seen;
  for (size_t at = 0, end; (end = said.find('\n', at)) != std::string::npos; at = end + 1) {
    Seen one;
    char id[64];
    ASSERT_EQ(std::sscanf(said.c_str() + at, "%63s %d %d", id, &one.pid, &one.status), 3);
    one.id = id;
    seen.push_back(one);
  }
  ASSERT_GE(seen.size(), 12U);

  // All that happened is committed when another listener has received it.
  std::vector<Seen> all;
  {
    Listener other = open("all", KNELL_FROM_OLDEST);
    read(other, 21, all);
  }
  restart();
  fail(5);
  const size_t before = seen.size();
  {
    Listener listener = open("t");
    std::vector<Seen> again;
    read(listener, 26 - 7, again);  // all but the 7 that were acknowledged
    for (const Seen& one : again) {
      const bool known = std::any_of(seen.begin(), seen.begin() + static_cast<ptrdiff_t>(before),
                                     [&](const Seen& other) { return other.id == one.id; });
      EXPECT_TRUE(!known || one.redelivered) << one.id;
    }
    EXPECT_EQ(again.size(), 19U);
    EXPECT_EQ(again[0].pid, happened_[7].first);
    seen.insert(seen.end(), again.begin(), again.end());
    EXPECT_FALSE(ack(listener, again.back()));
    EXPECT_FALSE(listener.flush_acks()) << knell_explain();
  }
  EXPECT_EQ(once(seen), happened_);

  // Nothing comes again, and nothing is missing after that.
  Listener listener = open("t");
  fail(1);
  std::vector<Seen> last;
  read(listener, 1, last);
  EXPECT_EQ(last[0].pid, happened_.back().first);
  EXPECT_FALSE(last[0].redelivered);
}

// The acknowledgement was not committed, or its ack was lost, when knelld was killed: the events
// may come again from knelld, but not from the library.
TEST_F(DurableListener, WhatTheProgramAcknowledgedDoesNotComeAgainInTheSameHandle) {
  Listener listener = open("t");
  fail(8);
  std::vector<Seen> seen;
  read(listener, 8, seen);
  EXPECT_FALSE(ack(listener, seen[4]));
  daemon_->kill();
  EXPECT_FALSE(ack(listener, seen[5]));  // knelld is away
  ASSERT_TRUE(daemon_->start());
  std::vector<Seen> again;
  read(listener, 2, again);
  EXPECT_EQ(again[0].id, seen[6].id);
  EXPECT_EQ(again[1].id, seen[7].id);
  EXPECT_TRUE(again[0].redelivered && again[1].redelivered);
  fail(1);
  read(listener, 3, again);
  EXPECT_EQ(again[2].pid, happened_.back().first);
  EXPECT_FALSE(again[2].redelivered);
  EXPECT_FALSE(ack(listener, again[2]));
  EXPECT_FALSE(listener.flush_acks()) << knell_explain();
}

TEST_F(DurableListener, StopsAtMaxUnackedAndGoesOn) {
  Listener listener = open("t", 0, 4);
  fail(10);
  std::vector<Seen> seen;
  read(listener, 4, seen);
  EXPECT_EQ(seen.size(), 4U);
  for (size_t next = 4; next < 10; ++next) {
    EXPECT_FALSE(ack(listener, seen[next - 4]));
    read(listener, next + 1, seen);
    EXPECT_EQ(seen.size(), next + 1);
  }
  EXPECT_EQ(once(seen), happened_);
}

TEST_F(DurableListener, ANameIsUsedByOneProcessAtATime) {
  Listener first = open("t");
  Options second = options("t");
  Listener listener(second);
  EXPECT_EQ(listener.flush_acks().value(), EBUSY);
  EXPECT_NE(std::string(knell_explain()).find("in use by process " + std::to_string(::getpid())),
            std::string::npos)
      << knell_explain();
}

}  // namespace
}  // namespace knell::test
