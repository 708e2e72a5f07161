// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The acknowledgements of a durable listener, with a daemon that refuses them, does not answer, or
// ends between the request and its answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "client/fake_server.h"
#include "journal/cursor.h"
#include "journal/event_for_test.h"
#include "lib/daemon_listener.h"

namespace knell::lib {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::Message;

const std::string kJournal = "0d9a8a61-5d1b-4a3c-9d6e-0e3c4c2b7a11";
const std::string kOther = "11111111-5d1b-4a3c-9d6e-0e3c4c2b7a11";

std::string cursor(int32_t seq, const std::string& journal = kJournal) {
  return journal::text_of({.journal = journal, .seq = seq});
}

class DaemonDurableTest : public ::testing::Test {
 protected:
  DaemonDurableTest() {
    knell_options options = KNELL_OPTIONS_INIT;
    options.durable = "n";
    auto opened = DaemonListener::create(options, server_.path());
    KNELL_CHECK(opened.has_value());
    listener_ = *std::move(opened);
    // The first read subscribes.
    KNELL_CHECK(listener_->read(nullptr, 0).has_value());
  }

  // Delivers exits of these pids; the seq of each exit is its pid.
  void deliver(std::initializer_list<int32_t> pids, const std::string& journal = kJournal) {
    for (const int32_t pid : pids) {
      knell_event event = journal::exit_event(pid);
      const std::string text = cursor(pid, journal);
      event.cursor = journal::bytes(text);
      server_.send({event});
    }
  }
  struct Seen {
    int32_t pid;
    bool redelivered;
    bool operator==(const Seen&) const = default;
  };
  static constexpr Seen kLost{0, false};
  // Reads until this many events were read.
  std::vector<Seen> read(size_t count) {
    std::vector<Seen> all;
    while (all.size() < count) {
      const knell_event* events[8];
      const auto n = listener_->read(events, 8);
      if (!n) {
        ADD_FAILURE() << n.error().message();
        return all;
      }
      for (size_t i = 0; i < *n; ++i)
        all.push_back({.pid = events[i]->pid,
                       .redelivered = (events[i]->flags & KNELL_FLAG_REDELIVERED) != 0});
      pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
      if (*n == 0) ::poll(&readable, 1, -1);
    }
    return all;
  }
  // Reads until the server has this many requests of the type; returns the events.
  std::vector<Seen> read_until(Message type, size_t requests) {
    std::vector<Seen> all;
    while (server_.count(type) < requests) {
      const knell_event* events[8];
      const auto n = listener_->read(events, 8);
      for (size_t i = 0; n && i < *n; ++i) all.push_back({events[i]->pid, false});
      pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
      if (n && *n == 0) ::poll(&readable, 1, 20);
    }
    return all;
  }
  // Waits for the ack of the subscription.
  void await_connection() {
    while (listener_->stats().daemon != KNELL_DAEMON_HERE) {
      pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
      ::poll(&readable, 1, -1);
      const knell_event* event = nullptr;
      ASSERT_TRUE(listener_->read(&event, 1));
    }
  }
  Result<void> ack(int32_t seq, const std::string& journal = kJournal) {
    const std::string text = cursor(seq, journal);
    knell_event event{};
    event.size = sizeof event;
    event.cursor = journal::bytes(text);
    return listener_->ack(&event);
  }
  Result<void> flush() { return listener_->ack(nullptr); }
  std::vector<std::string> acknowledged(size_t count) {
    std::vector<std::string> all;
    for (const wire::Acknowledge& one : server_.acknowledged(count)) all.push_back(one.cursor);
    return all;
  }
  // Kills the daemon, and starts another one.
  void restart() {
    server_.stop();
    server_.start();
  }

  client::FakeServer server_;
  std::unique_ptr<DaemonListener> listener_;
};

TEST_F(DaemonDurableTest, OneRequestHasTheNewestNumber) {
  deliver({1, 2, 3});
  EXPECT_EQ(read(3).size(), 3U);
  server_.answer_next(Message::kAcknowledge, -1, "");  // the request gets no ack
  ASSERT_TRUE(ack(1));
  EXPECT_THAT(acknowledged(1), ElementsAre(cursor(1)));
  ASSERT_TRUE(ack(2));
  ASSERT_TRUE(ack(3));
  ASSERT_TRUE(ack(2));  // already acknowledged
  EXPECT_EQ(server_.count(Message::kAcknowledge), 1U) << "one request at a time";
  server_.send(
      wire::encode(wire::Ack{.error = 0, .request = server_.last_request(), .text = {}}, 0));
  EXPECT_THAT(read_until(Message::kAcknowledge, 2), IsEmpty());
  EXPECT_THAT(acknowledged(2), ElementsAre(cursor(1), cursor(3)));
  EXPECT_TRUE(flush());
  EXPECT_EQ(server_.count(Message::kAcknowledge), 2U);
}

// It has the socket of its parent, which would take the answer for that to its own request.
TEST_F(DaemonDurableTest, AForkedChildSendsNothingAsItCloses) {
  deliver({1, 2});
  EXPECT_EQ(read(2).size(), 2U);
  server_.answer_next(Message::kAcknowledge, -1, "");  // the request gets no ack
  ASSERT_TRUE(ack(1));
  EXPECT_THAT(acknowledged(1), ElementsAre(cursor(1)));
  ASSERT_TRUE(ack(2));  // to be sent later
  const pid_t child = ::fork();
  if (child == 0) {
    listener_.reset();
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(listener_->set_events(KNELL_EVENT_EXIT));  // packets arrive in their order
  EXPECT_EQ(server_.count(Message::kAcknowledge), 1U);
  listener_.reset();
  EXPECT_THAT(acknowledged(2), ElementsAre(cursor(1), cursor(2)));
}

TEST_F(DaemonDurableTest, AFlushReportsARefusal) {
  deliver({1, 2});
  EXPECT_EQ(read(2).size(), 2U);
  server_.answer_next(Message::kAcknowledge, ESTALE, "the journal was replaced");
  ASSERT_TRUE(ack(1));
  const auto flushed = flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, ESTALE);
  EXPECT_THAT(flushed.error().message(), HasSubstr("the journal was replaced"));
  // The request is not repeated, and the next one is sent.
  EXPECT_TRUE(flush());
  EXPECT_EQ(server_.count(Message::kAcknowledge), 1U);
  ASSERT_TRUE(ack(2));
  EXPECT_TRUE(flush());
  EXPECT_THAT(acknowledged(2), ElementsAre(cursor(1), cursor(2)));
}

// The disk is full: the daemon will be able to commit the acknowledgement later.
TEST_F(DaemonDurableTest, WhatCouldNotBeCommittedIsSentAgain) {
  deliver({1, 2});
  EXPECT_EQ(read(2).size(), 2U);
  server_.answer_next(Message::kAcknowledge, EIO, "the disk is full");
  ASSERT_TRUE(ack(1));
  EXPECT_EQ(flush().error().code, EIO);
  EXPECT_TRUE(flush());
  EXPECT_THAT(acknowledged(2), ElementsAre(cursor(1), cursor(1)));
  // Without a flush, it is sent with the next acknowledgement.
  server_.answer_next(Message::kAcknowledge, EIO, "the disk is full");
  ASSERT_TRUE(ack(2));
  (void)acknowledged(3);
  deliver({3});
  EXPECT_EQ(read(1).size(), 1U);
  ASSERT_TRUE(ack(3));
  EXPECT_TRUE(flush());
  EXPECT_EQ(acknowledged(4).back(), cursor(3));
}

TEST_F(DaemonDurableTest, AnAcknowledgementWhoseAnswerWasLostIsSentAgainAsTheEventComesAgain) {
  deliver({1, 2, 3});
  EXPECT_EQ(read(3).size(), 3U);
  server_.answer_next(Message::kAcknowledge, -1, "");
  ASSERT_TRUE(ack(2));
  EXPECT_THAT(acknowledged(1), ElementsAre(cursor(2)));
  restart();
  EXPECT_THAT(read_until(Message::kSubscribe, 2), IsEmpty()) << "the gap is in the journal";
  const auto again = server_.durable(2);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->from, uint32_t{KNELL_FROM_ACKNOWLEDGED});
  EXPECT_TRUE(again->cursor.empty());
  // The daemon was killed before it committed the acknowledgement.
  deliver({1, 2, 3, 4});
  EXPECT_THAT(read(2), ElementsAre(Seen{3, true}, Seen{4, false}));
  EXPECT_TRUE(flush());
  EXPECT_EQ(acknowledged(2).back(), cursor(2));
}

// A daemon refuses (ERANGE) the number of an event that it has not sent on this connection.
TEST_F(DaemonDurableTest, AfterAReconnectNothingIsAcknowledgedBeforeItCame) {
  deliver({1, 2, 3});
  EXPECT_EQ(read(3).size(), 3U);
  restart();
  EXPECT_THAT(read_until(Message::kSubscribe, 2), IsEmpty());
  await_connection();
  ASSERT_TRUE(ack(3));
  const auto flushed = flush();
  ASSERT_FALSE(flushed) << "the acknowledgement may be lost";
  EXPECT_EQ(flushed.error().code, ECONNRESET);
  EXPECT_EQ(server_.count(Message::kAcknowledge), 0U);
  deliver({1});
  EXPECT_THAT(read_until(Message::kAcknowledge, 1), IsEmpty()) << "the caller has acknowledged it";
  EXPECT_THAT(acknowledged(1), ElementsAre(cursor(1)));
  deliver({2, 3, 4});
  EXPECT_THAT(read(1), ElementsAre(Seen{4, false}));
  EXPECT_TRUE(flush());
  EXPECT_EQ(acknowledged(2).back(), cursor(3));
}

TEST_F(DaemonDurableTest, ARefusedNumberIsNotRepeated) {
  deliver({1, 2});
  EXPECT_EQ(read(2).size(), 2U);
  server_.answer_next(Message::kAcknowledge, ERANGE, "the event was not delivered");
  ASSERT_TRUE(ack(1));
  (void)acknowledged(1);
  EXPECT_EQ(flush().error().code, ERANGE);
  EXPECT_TRUE(flush());
  EXPECT_EQ(server_.count(Message::kAcknowledge), 1U);
  EXPECT_EQ(listener_->stats().daemon, static_cast<uint32_t>(KNELL_DAEMON_HERE));
}

TEST_F(DaemonDurableTest, ANewJournalBeginsWithItsOwnNumbers) {
  deliver({7});
  EXPECT_EQ(read(1).size(), 1U);
  ASSERT_TRUE(ack(7));
  EXPECT_TRUE(flush());
  deliver({1, 2}, kOther);
  EXPECT_THAT(read(2), ElementsAre(Seen{1, false}, Seen{2, false}));
  ASSERT_TRUE(ack(1, kOther));
  EXPECT_TRUE(flush());
  EXPECT_EQ(acknowledged(2).back(), cursor(1, kOther));
}

TEST_F(DaemonDurableTest, WithoutADaemonAFlushFails) {
  deliver({1});
  EXPECT_EQ(read(1).size(), 1U);
  server_.stop();
  ASSERT_TRUE(ack(1)) << "it is sent when the event is delivered again";
  const auto flushed = flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, ECONNRESET);
}

// It may be committed nevertheless, and the daemon has ended the use of the name.
TEST_F(DaemonDurableTest, AfterAChangeWithUnknownOutcomeItConnectsAgainAsBefore) {
  server_.answer_next(Message::kSubscribe, EIO, "the disk is full");
  const auto changed = listener_->set_events(KNELL_EVENT_EXEC);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, EIO);
  EXPECT_THAT(read(1), ElementsAre(kLost)) << "the events of the old filter, if it was committed";
  EXPECT_EQ(server_.subscribe(2).mask, uint32_t{KNELL_EVENT_EXEC});
  EXPECT_EQ(server_.subscribe(3).mask, server_.subscribe(1).mask);
  deliver({5});
  EXPECT_THAT(read(1), ElementsAre(Seen{5, false}));
}

TEST_F(DaemonDurableTest, AfterARefusedChangeItConnectsAgainWithoutALoss) {
  server_.answer_next(Message::kSubscribe, EDQUOT, "too many values");
  EXPECT_EQ(listener_->set_events(KNELL_EVENT_EXEC).error().code, EDQUOT);
  EXPECT_THAT(read_until(Message::kSubscribe, 3), IsEmpty());
  EXPECT_EQ(server_.subscribe(3).mask, server_.subscribe(1).mask);
  deliver({5});
  EXPECT_THAT(read(1), ElementsAre(Seen{5, false}));
}

// Until it connects again, the daemon stores the events of the earlier filter.
TEST_F(DaemonDurableTest, AChangeWithoutADaemonIsFollowedByALoss) {
  server_.stop();
  ASSERT_TRUE(listener_->set_events(KNELL_EVENT_ALL));
  server_.start();
  EXPECT_THAT(read(1), ElementsAre(kLost));
  EXPECT_EQ(server_.subscribe(2).mask, uint32_t{KNELL_EVENT_ALL});
  restart();
  EXPECT_THAT(read_until(Message::kSubscribe, 3), IsEmpty());
  deliver({5});
  EXPECT_THAT(read(1), ElementsAre(Seen{5, false}))
      << "the daemon has stored the events since then";
}

TEST_F(DaemonDurableTest, AFirstReadWithoutADaemonIsFollowedByALoss) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.durable = "n";
  listener_.reset();
  listener_ = *DaemonListener::create(options, server_.path());
  server_.stop();
  ASSERT_TRUE(listener_->read(nullptr, 0)) << "the events from here on are wanted";
  server_.start();
  EXPECT_THAT(read(1), ElementsAre(kLost));
}

// The daemon sends no more events: as many as may be in flight are not acknowledged there.
TEST_F(DaemonDurableTest, WhatCouldNotBeCommittedIsSentAgainWithoutFurtherEvents) {
  deliver({1});
  EXPECT_EQ(read(1).size(), 1U);
  server_.answer_next(Message::kAcknowledge, EIO, "the disk is full");
  ASSERT_TRUE(ack(1));
  EXPECT_THAT(read_until(Message::kAcknowledge, 2), IsEmpty());
  EXPECT_THAT(acknowledged(2), ElementsAre(cursor(1), cursor(1)));
  EXPECT_TRUE(flush());
}

TEST_F(DaemonDurableTest, FailuresAreReportedOnce) {
  deliver({1});
  EXPECT_EQ(read(1).size(), 1U);
  ASSERT_TRUE(listener_->mark_failed(knell_event{}));
  EXPECT_TRUE(flush());
  ASSERT_TRUE(ack(1));
  EXPECT_TRUE(flush());
  const auto all = server_.acknowledged(2);
  EXPECT_EQ(all[0], (wire::Acknowledge{.cursor = {}, .failed = 1}));
  EXPECT_EQ(all[1], (wire::Acknowledge{.cursor = cursor(1), .failed = 0}));
}

}  // namespace
}  // namespace knell::lib
