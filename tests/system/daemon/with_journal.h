// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <knell/knell.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "support/patience.h"

namespace knell::test {

// A knelld with a journal, processes that fail, and listeners with names.
class WithJournal : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    // Children inherit this process name, by which listeners select them. Otherwise exits of other
    // programs would count for the limits of a listener of all processes.
    name_ = "durable-" + std::to_string(::getpid());
    ASSERT_EQ(::prctl(PR_SET_NAME, name_.c_str()), 0);
  }
  // `more`: additional lines of the section [journal].
  void start(const std::string& more = {}) {
    daemon_ = std::make_unique<Daemon>();
    daemon_->configure("[journal]\npath = \"" + journal() + "\"\n" + more);
    ASSERT_TRUE(daemon_->start());
  }
  virtual std::string journal() const { return folder_.path() + "/journal.db"; }
  void restart() {
    daemon_->kill();
    ASSERT_TRUE(daemon_->start());
  }

  // Starts a child that exits with a non-zero code, and adds its exit to happened_.
  void fail(int count) {
    for (int i = 0; i < count; ++i) {
      const int code = 1 + (++failures_ % 200);
      const pid_t pid = ::fork();
      if (pid == 0) ::_exit(code);
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
  static Seen seen_of(const knell_event& event) {
    return {.id = text(event.id),
            .pid = event.pid,
            .status = event.wait_status,
            .redelivered = (event.flags & KNELL_FLAG_REDELIVERED) != 0,
            .cursor = std::string(event.cursor.data, event.cursor.size)};
  }
  static void wait_for_more(const Listener& listener, const Deadline& deadline) {
    pollfd ready{.fd = listener.fd(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, deadline.left_ms());
  }
  // Reads until `count` exits were seen; adds them to `seen`.
  static void read(Listener& listener, size_t count, std::vector<Seen>& seen) {
    for (const Deadline deadline; seen.size() < count && !deadline.passed();) {
      std::error_code error;
      bool any = false;
      for (const knell_event& event : listener.read(error)) {
        any = true;
        EXPECT_NE(event.cursor.data, nullptr);
        if (event.type == KNELL_EVENT_EXIT) seen.push_back(seen_of(event));
      }
      ASSERT_FALSE(error) << knell_explain();
      if (!any) wait_for_more(listener, deadline);
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

}  // namespace knell::test
