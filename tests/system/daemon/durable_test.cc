// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Durable listeners of a real knelld, with kills at bad moments: the delivered exits must equal the
// results of waitpid(2).
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "support/needs.h"
#include "with_journal.h"

namespace knell::test {
namespace {

class DurableListener : public WithJournal {
 protected:
  void SetUp() override {
    WithJournal::SetUp();
    if (!IsSkipped()) start();
  }
};

// A listener in a separate process, which writes a line for each event, acknowledges it or not, and
// is killed with SIGKILL in between. Then knelld is killed, too.
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

  // All exits are committed when another listener has received them.
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
    read(listener, 26 - 7, again);  // all except the 7 that were acknowledged
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

  // No event is delivered again, and none is missing after that.
  Listener listener = open("t");
  fail(1);
  std::vector<Seen> last;
  read(listener, 1, last);
  EXPECT_EQ(last[0].pid, happened_.back().first);
  EXPECT_FALSE(last[0].redelivered);
}

// The acknowledgement was not committed, or its ack was lost, when knelld was killed: knelld may
// deliver the events again, but the library must not return them.
TEST_F(DurableListener, WhatTheProgramAcknowledgedDoesNotComeAgainInTheSameHandle) {
  Listener listener = open("t");
  fail(8);
  std::vector<Seen> seen;
  read(listener, 8, seen);
  EXPECT_FALSE(ack(listener, seen[4]));
  daemon_->kill();
  EXPECT_FALSE(ack(listener, seen[5]));  // knelld is not running
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
