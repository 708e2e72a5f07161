// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/daemon_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/fake_server.h"
#include "filter/predicate_for_test.h"
#include "journal/cursor.h"
#include "journal/event_for_test.h"

namespace knell::lib {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kJournal = "0d9a8a61-5d1b-4a3c-9d6e-0e3c4c2b7a11";

std::string cursor(int64_t seq) { return journal::text_of({.journal = kJournal, .seq = seq}); }

// A journal of exits, in which seq and pid are equal, on a server that returns two events a page.
// The server ignores mask and predicates.
class DaemonHistoryTest : public ::testing::Test {
 protected:
  DaemonHistoryTest() {
    server_.answer_histories([this](const wire::History& asked) { return answer(asked); });
  }
  void open(knell_history_options options = KNELL_HISTORY_OPTIONS_INIT) {
    listener_.reset();  // the server has one client at a time
    auto made = DaemonHistory::create(options, server_.path());
    ASSERT_TRUE(made) << made.error().message();
    listener_ = *std::move(made);
  }
  std::vector<std::string> answer(const wire::History& asked) {
    const std::lock_guard lock(mutex_);
    if (asked.until_ns == 1)
      return {wire::encode(wire::Page{.next = {}, .end = true}, 0)};  // open()
    asked_.push_back(asked);
    const auto place = journal::parse_cursor(asked.place.cursor);
    int64_t seq = place ? place->seq + 1 : 1;
    std::vector<std::string> packets;
    wire::Page page;
    if (asked.place.last != 0) {
      // The search takes two requests.
      const auto count = static_cast<int64_t>(asked.place.last);
      if (asked.place.searched_seq == 0)
        page.next = {.cursor = {}, .last_seq = 0, .searched_seq = 5, .last = asked.place.last};
      else
        page.next.cursor = cursor(events_ - count);
      return {wire::encode(page, 0)};
    }
    std::string past, buffer;
    wire::EventFrame frame(past, 0, wire::Message::kPast);
    for (int i = 0; i < 2 && seq <= events_; ++i, ++seq) {
      knell_event event = journal::exit_event(static_cast<int32_t>(seq));
      if (seq < 3) event.ppid = 3;
      const std::string text = cursor(seq);
      event.cursor = journal::bytes(text);
      KNELL_CHECK(frame.add(wire::epoch_of(event), wire::encode_event(buffer, event)));
    }
    const bool empty = frame.empty();
    frame.finish();
    if (!empty) packets.push_back(past);
    page.next = {.cursor = cursor(seq - 1), .last_seq = INT64_MAX};
    page.end = seq > events_;
    packets.push_back(wire::encode(page, 0));
    return packets;
  }
  wire::History request(size_t nth) {
    const std::lock_guard lock(mutex_);
    return nth < asked_.size() ? asked_[nth] : wire::History{};
  }

  // Reads once, after the listener has become readable.
  Result<size_t> read_some(std::vector<int>& pids) {
    pollfd fd{listener_->fd(), POLLIN, 0};
    ::poll(&fd, 1, -1);
    std::array<const knell_event*, 64> events;
    auto n = listener_->read(events.data(), events.size());
    for (size_t i = 0; n && i < *n; ++i) {
      EXPECT_EQ(events[i]->seq, static_cast<uint64_t>(events[i]->pid));
      EXPECT_EQ(std::string(events[i]->cursor.data, events[i]->cursor.size),
                cursor(events[i]->pid));
      pids.push_back(events[i]->pid);
    }
    return n;
  }
  // Reads all pids up to the end, or to an error with this code.
  std::vector<int> read_all(int error = ENODATA) {
    std::vector<int> pids;
    for (;;) {
      const auto n = read_some(pids);
      if (n) continue;
      EXPECT_EQ(n.error().code, error) << n.error().message();
      why_ = n.error().message();
      return pids;
    }
  }

  std::atomic<int64_t> events_ = 5;
  std::mutex mutex_;
  std::vector<wire::History> asked_;
  std::string why_;
  client::FakeServer server_;
  std::unique_ptr<DaemonHistory> listener_;
};

TEST_F(DaemonHistoryTest, ReadsPagesUpToTheEnd) {
  open();
  EXPECT_THAT(read_all(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(read_all(), IsEmpty());
  EXPECT_EQ(server_.count(wire::Message::kHistory), 4U) << "one request is sent by open()";
  EXPECT_TRUE(request(0).place.cursor.empty());
  EXPECT_EQ(request(1).place.cursor, cursor(2));
  EXPECT_FALSE(request(2).wait);
  EXPECT_EQ(listener_->stats().shown, 5U);
  EXPECT_EQ(listener_->stats().daemon, static_cast<uint32_t>(KNELL_DAEMON_HERE));
}

TEST_F(DaemonHistoryTest, AnEmptyJournalHasNoEvents) {
  events_ = 0;
  open();
  EXPECT_THAT(read_all(), IsEmpty());
}

TEST_F(DaemonHistoryTest, ASmallBufferGetsAllEvents) {
  open();
  std::vector<int> pids;
  const knell_event* event = nullptr;
  for (;;) {
    pollfd fd{listener_->fd(), POLLIN, 0};
    ::poll(&fd, 1, -1);
    const auto n = listener_->read(&event, 1);
    if (!n) break;
    if (*n == 1) pids.push_back(event->pid);
  }
  EXPECT_THAT(pids, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DaemonHistoryTest, AsksForWhatIsWantedAndTestsItHereToo) {
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  options.since_ns = 5;
  options.until_ns = 7;
  options.this_boot = 1;
  open(options);
  const std::vector<filter::Predicate> only{filter::wants(filter::Key::kPid, 4)};
  ASSERT_TRUE(listener_->match(only));
  EXPECT_THAT(read_all(), IsEmpty()) << "all events are from another boot";
  EXPECT_EQ(request(0).wanted.mask, uint32_t{KNELL_EVENT_NONZERO_EXIT});
  EXPECT_EQ(request(0).wanted.predicates, only);
  EXPECT_GE(request(0).since_ns, 5);
  EXPECT_EQ(request(0).until_ns, 7);
  EXPECT_NE(request(0).boot, 0U);
  open();
  ASSERT_TRUE(listener_->match(only));
  EXPECT_THAT(read_all(), ElementsAre(4));
}

TEST_F(DaemonHistoryTest, TheDaemonSearchesTheLastEvents) {
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.last = 2;
  open(options);
  EXPECT_THAT(read_all(), ElementsAre(4, 5));
  EXPECT_EQ(request(0).place.last, 2U);
  EXPECT_EQ(request(1).place.searched_seq, 5);
  EXPECT_EQ(request(2).place.last, 0U);
}

// The daemon does not know the ancestors of processes.
TEST_F(DaemonHistoryTest, UnderIsFoundOutHere) {
  open();
  const std::vector<filter::Predicate> under{filter::wants(filter::Key::kUnder, 3)};
  ASSERT_TRUE(listener_->match(under));
  EXPECT_THAT(read_all(), ElementsAre(1, 2, 3));
  EXPECT_THAT(request(0).wanted.predicates, IsEmpty());
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.last = 2;
  open(options);
  ASSERT_TRUE(listener_->match(under));
  EXPECT_THAT(read_all(), ElementsAre(2, 3));
}

TEST_F(DaemonHistoryTest, FollowsAndSurvivesARestart) {
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.follow = 1;
  events_ = 1;
  open(options);
  std::vector<int> pids;
  while (pids.empty()) ASSERT_TRUE(read_some(pids));
  // The daemon would answer when there are more events; it is killed before that.
  server_.stop();
  events_ = 3;
  server_.start();
  while (pids.size() < 3) ASSERT_TRUE(read_some(pids));
  EXPECT_THAT(pids, ElementsAre(1, 2, 3));
}

TEST_F(DaemonHistoryTest, ARequestThatWasNotAnsweredIsSentAgain) {
  open();
  server_.answer_next(wire::Message::kHistory, EAGAIN, "later");
  EXPECT_THAT(read_all(), ElementsAre(1, 2, 3, 4, 5));
  open();
  std::vector<int> pids;
  while (pids.empty()) ASSERT_TRUE(read_some(pids));
  server_.hang_up();
  for (;;)
    if (!read_some(pids)) break;
  EXPECT_THAT(pids, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DaemonHistoryTest, ARefusalIsAnError) {
  open();
  server_.answer_next(wire::Message::kHistory, EDQUOT, "too many values");
  EXPECT_THAT(read_all(EDQUOT), IsEmpty());
  EXPECT_THAT(why_, HasSubstr("too many values"));
  open();
  server_.answer_next(wire::Message::kHistory, EOPNOTSUPP, "message 30 is unknown");
  EXPECT_THAT(read_all(EOPNOTSUPP), IsEmpty());
  EXPECT_THAT(why_, HasSubstr("knelld fake"));
  // The error is returned immediately if nothing can be read.
  listener_.reset();
  server_.answer_next(wire::Message::kHistory, EOPNOTSUPP, "there is no journal");
  const knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  const auto made = DaemonHistory::create(options, server_.path());
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("there is no journal"));
  // A daemon that answers with only the ack.
  server_.answer_histories({});
  open();
  EXPECT_THAT(read_all(EBADMSG), IsEmpty());
}

TEST_F(DaemonHistoryTest, AReplacedJournalIsReadFromItsBeginning) {
  open();
  std::vector<int> pids;
  server_.answer_next(wire::Message::kHistory, ESTALE, "it was replaced");
  while (pids.size() < 5) ASSERT_TRUE(read_some(pids));
  EXPECT_THAT(pids, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DaemonHistoryTest, IsRefusedInAnotherPidNamespace) {
  server_.hello.scope.flags = wire::Scope::kOnePidNamespace;
  const knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  const auto made = DaemonHistory::create(options, server_.path());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, EOPNOTSUPP);
}

TEST_F(DaemonHistoryTest, SaysWhichUsersEventsItHas) {
  server_.hello.scope = {
      .flags = wire::Scope::kOwnUid, .uid = 1000, .namespace_depth = 0, .reserved = 0};
  open();
  EXPECT_EQ(listener_->stats().scope, static_cast<uint32_t>(KNELL_SCOPE_USER));
  EXPECT_EQ(listener_->stats().scope_uid, 1000U);
}

}  // namespace
}  // namespace knell::lib
