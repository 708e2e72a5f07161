// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "base/boot_id.h"
#include "base/clock.h"
#include "journal/store_for_test.h"

namespace knell::lib {
namespace {

using ::testing::HasSubstr;

class FileHistoryTest : public ::testing::Test {
 protected:
  FileHistoryTest() { open_store(); }
  ~FileHistoryTest() override { knell_close(listener_); }
  void open_store() {
    store_.reset();
    auto store = journal::Store::open({.path = path_});
    ASSERT_TRUE(store);
    store_.emplace(*std::move(store));
  }
  void write(const std::vector<knell_event>& events) {
    for (const knell_event& event : events) ASSERT_TRUE(store_->append(event));
    ASSERT_TRUE(store_->commit());
  }
  int open(knell_history_options options = KNELL_HISTORY_OPTIONS_INIT) {
    knell_close(listener_);
    listener_ = nullptr;
    return knell_open_history(path_.c_str(), &options, &listener_);
  }
  // The pids of the events up to the end; a lost event is -1.
  std::vector<int> read_all() {
    std::vector<int> pids;
    std::array<const knell_event*, 7> events;
    for (;;) {
      const ssize_t n = knell_read(listener_, events.data(), events.size());
      if (n < 0) {
        EXPECT_EQ(n, -ENODATA) << knell_explain();
        return pids;
      }
      for (ssize_t i = 0; i < n; ++i) {
        const knell_event& event = *events[static_cast<size_t>(i)];
        pids.push_back(event.type == KNELL_EVENT_LOST ? -1 : event.pid);
      }
    }
  }
  // Waits for the next event of a listener with `follow`.
  int next() {
    const knell_event* event = nullptr;
    for (;;) {
      pollfd fd{knell_fd(listener_), POLLIN, 0};
      ::poll(&fd, 1, -1);
      const ssize_t n = knell_read(listener_, &event, 1);
      if (n != 0) return n < 0 ? static_cast<int>(n) : event->pid;
    }
  }

  journal::TemporaryFolder folder_;
  std::string path_ = folder_.file("journal.db");
  std::optional<journal::Store> store_;
  knell_listener* listener_ = nullptr;
};

TEST_F(FileHistoryTest, ReadsAllEventsThenEnds) {
  write({journal::exit_event(1), journal::exit_event(2, 0)});
  ASSERT_EQ(open(), 0) << knell_explain();
  EXPECT_EQ(read_all(), (std::vector<int>{1, 2}));
  EXPECT_EQ(read_all(), (std::vector<int>{}));
}

TEST_F(FileHistoryTest, StaysOpenIfAForkedChildCloses) {
  write({journal::exit_event(1), journal::exit_event(2)});
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.follow = 1;
  ASSERT_EQ(open(options), 0) << knell_explain();
  EXPECT_EQ(next(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    const knell_event* event = nullptr;
    const bool refused = knell_read(listener_, &event, 1) == -EINVAL;
    knell_close(listener_);
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(next(), 2);
  write({journal::exit_event(3)});
  EXPECT_EQ(next(), 3);
}

TEST_F(FileHistoryTest, FillsSeqAndUser) {
  write({journal::exit_event(1), journal::exit_event(2)});
  ASSERT_EQ(open(), 0);
  std::array<const knell_event*, 8> events;
  ASSERT_EQ(knell_read(listener_, events.data(), events.size()), 2);
  EXPECT_EQ(events[1]->seq, 2U);
  EXPECT_EQ(events[1]->via, KNELL_VIA_BPF);
  EXPECT_EQ(std::string(events[1]->user.data, events[1]->user.size), "root");
  EXPECT_NE(events[1]->has & KNELL_HAS_PPID, 0U);
}

TEST_F(FileHistoryTest, TestsMaskAndPredicates) {
  knell_event other = journal::exit_event(3);
  other.comm = journal::bytes("sh");
  write({journal::exit_event(1, 0), journal::exit_event(2), other});
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  ASSERT_EQ(open(options), 0);
  ASSERT_EQ(knell_match(listener_, "comm", "!sh"), 0);
  EXPECT_EQ(read_all(), (std::vector<int>{2}));
}

TEST_F(FileHistoryTest, ReadsAWindowAndTheLast) {
  std::vector<knell_event> events;
  for (int pid = 1; pid <= 100; ++pid) events.push_back(journal::exit_event(pid, pid % 2));
  write(events);
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.since_ns = journal::exit_event(11).time_ns;
  options.until_ns = journal::exit_event(20).time_ns;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  ASSERT_EQ(open(options), 0);
  EXPECT_EQ(read_all(), (std::vector<int>{11, 13, 15, 17, 19}));
  options.last = 2;
  ASSERT_EQ(open(options), 0);
  EXPECT_EQ(read_all(), (std::vector<int>{17, 19}));
}

TEST_F(FileHistoryTest, UnderGoesByTheParentsInTheJournal) {
  knell_event child = journal::exit_event(5), grandchild = journal::exit_event(6);
  child.ppid = 4;
  grandchild.ppid = 5;
  knell_event fork = journal::exit_event(4);
  fork.type = KNELL_EVENT_FORK;
  fork.child_pid = fork.child_tid = 5;
  write({fork, grandchild, journal::exit_event(7), child});
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.events = KNELL_EVENT_EXIT;
  ASSERT_EQ(open(options), 0);
  ASSERT_EQ(knell_match(listener_, "under", "4"), 0);
  EXPECT_EQ(read_all(), (std::vector<int>{6, 5}));
}

TEST_F(FileHistoryTest, ShowsThisBootOnly) {
  knell_event now = journal::exit_event(2);
  now.id.boot = boot_number();
  now.time_ns = system_clock().realtime_ns();
  knell_event before = now;
  before.pid = 1;
  before.id.boot = now.id.boot + 1;
  write({before, now});
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.this_boot = 1;
  ASSERT_EQ(open(options), 0);
  EXPECT_EQ(read_all(), (std::vector<int>{2}));
}

TEST_F(FileHistoryTest, FollowsTheJournal) {
  write({journal::exit_event(1), journal::exit_event(2)});
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.follow = 1;
  options.last = 1;
  ASSERT_EQ(open(options), 0);
  EXPECT_EQ(next(), 2);
  write({journal::exit_event(3)});
  EXPECT_EQ(next(), 3);
  write({journal::exit_event(4), journal::exit_event(5)});
  EXPECT_EQ(next(), 4);
  EXPECT_EQ(next(), 5);
}

TEST_F(FileHistoryTest, FollowsToTheJournalThatTakesItsPlace) {
  write({journal::exit_event(1)});
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.follow = 1;
  ASSERT_EQ(open(options), 0);
  EXPECT_EQ(next(), 1);
  store_.reset();
  for (const char* part : {"-wal", "-shm", ""})
    std::filesystem::rename(path_ + part, folder_.file(std::string("old") + part));
  open_store();
  write({journal::exit_event(2)});
  EXPECT_EQ(next(), 2);
}

TEST_F(FileHistoryTest, SaysWhyAJournalCannotBeRead) {
  path_ = folder_.file("missing.db");
  EXPECT_EQ(open(), -ENOENT);
  EXPECT_THAT(knell_explain(), HasSubstr("there is no journal"));
  EXPECT_EQ(knell_verify_journal(path_.c_str(), nullptr, nullptr), -ENOENT);
}

TEST_F(FileHistoryTest, RefusesBadOptions) {
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.follow = 2;
  EXPECT_EQ(open(options), -EINVAL);
  options.follow = 0;
  options.since_ns = -1;
  EXPECT_EQ(open(options), -EINVAL);
  ASSERT_EQ(open(), 0);
  EXPECT_EQ(knell_add(listener_, 1, 0, 0), -EINVAL);
}

TEST_F(FileHistoryTest, VerifyReportsASummary) {
  write({journal::exit_event(1), journal::exit_event(2)});
  std::string text;
  const auto add = [](const knell_finding* finding, void* to) {
    *static_cast<std::string*>(to) += finding->text;
    return 0;
  };
  EXPECT_EQ(knell_verify_journal(path_.c_str(), add, &text), 0) << knell_explain();
  EXPECT_THAT(text, HasSubstr(": 2 events, seq 1 to 2"));
}

}  // namespace
}  // namespace knell::lib
