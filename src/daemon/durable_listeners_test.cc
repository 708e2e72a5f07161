// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Durable listeners with a real journal and real connections. Runs in one thread, apart from those
// of the recorder and of the pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "daemon/durable_for_test.h"

namespace knell::daemon {
namespace {

using filter::Key;
using filter::Predicate;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Client = DurableClient;
using Seen = Delivered;

class DurableListenersTest : private journal::TemporaryFolder,
                             public DurableStage,
                             public ::testing::Test {
 protected:
  DurableListenersTest() : DurableStage({.path = file("journal.db")}) {}
};

TEST_F(DurableListenersTest, EventsComeAgainUntilTheyAreAcknowledged) {
  Client& first = attached("n");
  exits(1, 5);
  until([&] { return first.seen.size() == 5; });
  EXPECT_THAT(pids(first), ElementsAre(1, 2, 3, 4, 5));
  for (const Seen& one : first.seen) EXPECT_FALSE(one.redelivered);
  EXPECT_EQ(acknowledge(first, first.seen[2]).error, 0);
  EXPECT_EQ(row("n").acked, journal::parse_cursor(first.seen[2].cursor)->seq);
  EXPECT_EQ(row("n").pending, 2U);
  disconnect(first);
  exits(6, 6);  // while the name has no connection
  Client& second = attached("n");
  until([&] { return second.seen.size() == 3; });
  EXPECT_THAT(pids(second), ElementsAre(4, 5, 6));
  EXPECT_TRUE(second.seen[0].redelivered);
  EXPECT_TRUE(second.seen[1].redelivered);
  EXPECT_FALSE(second.seen[2].redelivered);
  EXPECT_EQ(acknowledge(second, second.seen[2]).error, 0);
  EXPECT_EQ(row("n").pending, 0U);
  EXPECT_EQ(row("n").redelivered, 2U);
  exits(7, 7);
  until([&] { return second.seen.size() == 4; });
  EXPECT_EQ(second.seen[3].pid, 7);
}

TEST_F(DurableListenersTest, ARestartOfTheDaemonLosesNothingOfIt) {
  Client& first = attached("n");
  exits(1, 3);
  until([&] { return first.seen.size() == 3; });
  EXPECT_EQ(acknowledge(first, first.seen[0]).error, 0);
  stop();
  start();
  exits(4, 4);  // before the next connection
  Client& second = attached("n");
  until([&] { return second.seen.size() == 3; });
  EXPECT_THAT(pids(second), ElementsAre(2, 3, 4));
  EXPECT_TRUE(second.seen[0].redelivered);
  EXPECT_FALSE(second.seen[2].redelivered);
}

// The names are kept, and the number of events that they missed is unknown.
TEST_F(DurableListenersTest, AJournalThatWasReplacedBeginsWithALostEvent) {
  Client& before = attached("n");
  exits(1, 3);
  until([&] { return before.seen.size() == 3; });
  const std::string cursor = before.seen[0].cursor;
  stop();
  {
    auto database = journal::Database::open(options_.path, journal::Database::Mode::kWrite);
    ASSERT_TRUE(database && database->keep_wal() &&
                database->execute("UPDATE journal SET created_ns=created_ns+1"));
  }
  start();
  Client& client = attached("n");
  exits(4, 4);
  until([&] { return client.seen.size() == 2; });
  EXPECT_EQ(client.seen[0].type, KNELL_EVENT_LOST);
  EXPECT_FALSE(client.seen[0].lost);
  EXPECT_EQ(client.seen[1].pid, 4);
  EXPECT_EQ(ask(client, wire::encode(wire::Acknowledge{.cursor = cursor}, 9)).error, ESTALE);
}

// The second client's request was answered by the old journal, and knelld reads that answer when
// the new journal is in use.
TEST_F(DurableListenersTest, AJournalThatIsReplacedInUseBeginsWithALostEvent) {
  class Under final : public filter::Ancestry {
    bool is_under(const filter::Root&, const knell_event& event) const override {
      return event.pid == 22;
    }
  };
  const auto self = static_cast<int64_t>(::getpid());
  Client& first = attached("first");
  exits(1, 20);
  until([&] { return first.seen.size() == 20; });
  const Seen old = first.seen.back();
  Client& excludes = connect();
  EXPECT_EQ(attach(excludes, {.name = "excludes", .cursor = {}}, KNELL_EVENT_EXIT,
                   {{.key = Key::kUnder, .excluded = true, .value = self}})
                .error,
            0);
  disconnect(first);
  Client& second = connect();
  send_attach(second, {.name = "first", .from = KNELL_FROM_NEWEST, .cursor = {}}, KNELL_EVENT_EXIT);
  durable_->recorder().flush();
  {
    auto database = journal::Database::open(options_.path, journal::Database::Mode::kWrite);
    ASSERT_TRUE(database && database->keep_wal() && database->execute("DROP TABLE block"));
  }
  exits(21, 21);
  durable_->recorder().flush();  // finds the damage
  durable_->recorder().flush();
  ASSERT_NE(durable_->recorder().status().id, journal::parse_cursor(old.cursor)->journal);
  until([&] { return !second.acks.empty(); });
  EXPECT_EQ(second.acks.back().error, 0);
  for (int pid = 22; pid <= 23; ++pid) happen(journal::exit_event(pid, 0x100), Under());
  until([&] { return second.seen.size() == 4 && excludes.seen.size() == 3; });
  EXPECT_EQ(second.seen.front().type, KNELL_EVENT_LOST);
  EXPECT_THAT(pids(second), ElementsAre(0, 21, 22, 23));
  EXPECT_THAT(pids(excludes), ElementsAre(0, 21, 23));
  EXPECT_EQ(acknowledge(second, old).error, ESTALE);
}

// The filters of names without a connection are tested for each event, too.
TEST_F(DurableListenersTest, ANameWithoutAConnectionKeepsItsShareOfTheQuota) {
  account = 1000;
  std::vector<Predicate> costly;
  for (int i = 0; i < 28; ++i)
    costly.push_back({.key = Key::kExe, .value = "*/" + std::to_string(100 + i) + "/*"});
  const auto attach_costly = [&](const std::string& name) {
    Client& client = connect();
    const wire::Ack ack = attach(client, {.name = name, .cursor = {}}, KNELL_EVENT_EXIT, costly);
    disconnect(client);
    return ack;
  };
  EXPECT_EQ(attach_costly("a").error, 0);
  const wire::Ack refused = attach_costly("b");
  EXPECT_EQ(refused.error, EDQUOT);
  EXPECT_THAT(refused.text, HasSubstr("limits.filter_steps_per_user"));
  EXPECT_EQ(attach_costly("a").error, 0) << "its own share is released";
  stop();
  start();
  EXPECT_EQ(attach_costly("b").error, EDQUOT);
  Client& client = connect();
  const wire::Forget forget{.name = "a", .owner = {}};
  EXPECT_EQ(ask(client, wire::encode(forget, ++client.requests)).error, 0);
  EXPECT_EQ(attach_costly("b").error, 0);
}

TEST_F(DurableListenersTest, AtMostMaxUnackedEventsAreInFlight) {
  Client& client = connect();
  EXPECT_EQ(attach(client, {.name = "n", .cursor = {}, .most_unacked = 3}).error, 0);
  exits(1, 10);
  until([&] { return client.seen.size() == 3; });
  settle();
  EXPECT_EQ(client.seen.size(), 3U);
  EXPECT_EQ(acknowledge(client, client.seen[1]).error, 0);
  until([&] { return client.seen.size() == 5; });
  settle();
  EXPECT_THAT(pids(client), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DurableListenersTest, OneConnectionUsesANameAtATime) {
  Client& first = attached("n");
  Client& second = connect();
  const wire::Ack refused = attach(second, {.name = "n", .cursor = {}});
  EXPECT_EQ(refused.error, EBUSY);
  EXPECT_THAT(refused.text, HasSubstr("in use by process " + std::to_string(::getpid())));
  exits(1, 1);
  until([&] { return first.seen.size() == 1; });
  EXPECT_THAT(second.seen, IsEmpty());
  // The process was killed, and knelld has not noticed yet.
  first.theirs.reset();
  EXPECT_EQ(attach(second, {.name = "n", .cursor = {}}).error, 0);
  until([&] { return second.seen.size() == 1; });
  EXPECT_TRUE(second.seen[0].redelivered);
}

TEST_F(DurableListenersTest, BeginsWhereItIsTold) {
  Client& all = attached("all");
  exits(1, 4);
  until([&] { return all.seen.size() == 4; });
  Client& oldest = attached("oldest", KNELL_FROM_OLDEST);
  until([&] { return oldest.seen.size() == 4; });
  disconnect(all);
  Client& at = connect();
  EXPECT_EQ(attach(at, {.name = "all", .cursor = oldest.seen[1].cursor}).error, 0);
  until([&] { return at.seen.size() == 2; });
  EXPECT_THAT(pids(at), ElementsAre(3, 4));
  disconnect(oldest);
  Client& newest = attached("oldest", KNELL_FROM_NEWEST);
  exits(5, 5);
  until([&] { return newest.seen.size() == 1; });
  EXPECT_EQ(newest.seen[0].pid, 5);
}

TEST_F(DurableListenersTest, ACursorThatDoesNotFitIsRefusedWithTheChoices) {
  Client& client = attached("n");
  exits(1, 1);
  until([&] { return client.seen.size() == 1; });
  auto cursor = *journal::parse_cursor(client.seen[0].cursor);
  Client& other = connect();
  cursor.seq += 1000;
  const wire::Ack later = attach(other, {.name = "m", .cursor = journal::text_of(cursor)});
  EXPECT_EQ(later.error, ERANGE);
  EXPECT_THAT(later.text, HasSubstr("\"oldest\", \"newest\""));
  cursor.journal[0] = cursor.journal[0] == '0' ? '1' : '0';
  const wire::Ack foreign = attach(other, {.name = "m", .cursor = journal::text_of(cursor)});
  EXPECT_EQ(foreign.error, ESTALE);
  EXPECT_THAT(foreign.text, HasSubstr("\"oldest\", \"newest\""));
  EXPECT_EQ(attach(other, {.name = "m", .cursor = "k1:nonsense"}).error, EINVAL);
  EXPECT_EQ(attach(other, {.name = "a/b", .cursor = {}}).error, EINVAL);
  EXPECT_TRUE(durable_->status({}).size() == 1) << "a refused name must not stay";
}

// The first client closes its connection before it is answered; the second one attaches before
// knelld reads that answer.
TEST_F(DurableListenersTest, ARefusedRequestDoesNotChangeTheNextOneForItsName) {
  for (const std::string name : {"new", "stored"}) {
    if (name == "stored") {
      Client& before = connect();
      EXPECT_EQ(attach(before, {.name = name, .cursor = {}}, KNELL_EVENT_EXEC).error, 0);
      disconnect(before);
    }
    Client& first = connect();
    Client& second = connect();
    send_attach(first, {.name = name, .cursor = "k1:nonsense"}, KNELL_EVENT_EXIT);
    ASSERT_EQ(::shutdown(first.theirs.get(), SHUT_RDWR), 0);
    EXPECT_EQ(attach(second, {.name = name, .from = KNELL_FROM_NEWEST, .cursor = {}}).error, 0);
    exits(1, 1);
    until([&] { return second.seen.size() == 1; });
    EXPECT_THAT(pids(second), ElementsAre(1));
    disconnect(first);
    EXPECT_TRUE(durable_->wants(journal::exit_event(2, 0x100), filter::NoAncestry()).any);
    disconnect(second);
  }
}

TEST_F(DurableListenersTest, EventsOfAStoredNameAreKeptWhileARequestForItWaits) {
  disconnect(attached("n"));
  Client& refused = connect();
  send_attach(refused, {.name = "n", .cursor = "k1:nonsense"}, KNELL_EVENT_EXEC);
  knell_event exec = journal::exit_event(7);
  exec.type = KNELL_EVENT_EXEC;
  EXPECT_TRUE(durable_->wants(exec, filter::NoAncestry()).any) << "the request may be accepted";
  exits(1, 1);
  until([&] { return !refused.acks.empty() && refused.acks.back().error == EINVAL; });
  EXPECT_FALSE(durable_->wants(exec, filter::NoAncestry()).any);
  EXPECT_EQ(row("n").pending, 1U);
  Client& client = attached("n");
  until([&] { return client.seen.size() == 1; });
  EXPECT_THAT(pids(client), ElementsAre(1));
}

// The request may be refused, and then the event is one of the stored name.
TEST_F(DurableListenersTest, ARequestThatWaitsMarksNoEvent) {
  const auto self = static_cast<int64_t>(::getpid());
  const std::vector<Predicate> excludes{{.key = Key::kUnder, .excluded = true, .value = self}};
  Client& before = connect();
  EXPECT_EQ(attach(before, {.name = "n", .cursor = {}}, KNELL_EVENT_EXIT, excludes).error, 0);
  disconnect(before);
  Client& refused = connect();
  send_attach(refused, {.name = "n", .cursor = "k1:nonsense"}, KNELL_EVENT_EXIT, excludes);
  class Under final : public filter::Ancestry {
    bool is_under(const filter::Root&, const knell_event&) const override { return true; }
  };
  happen(journal::exit_event(1, 0x100), Under());
  until([&] { return !refused.acks.empty() && refused.acks.back().error == EINVAL; });
  Client& client = connect();
  EXPECT_EQ(attach(client, {.name = "n", .cursor = {}}, KNELL_EVENT_EXIT, excludes).error, 0);
  until([&] { return client.seen.size() == 1; });
  EXPECT_THAT(pids(client), ElementsAre(1));
}

// The writer may give it to the other one at once, before its answer to the first one is known
// here.
TEST_F(DurableListenersTest, AnExclusionThatOneNameGivesUpHidesNoEventFromTheNextOne) {
  const auto self = static_cast<int64_t>(::getpid());
  const std::vector<Predicate> excludes{{.key = Key::kUnder, .excluded = true, .value = self}};
  Client& first = connect();
  EXPECT_EQ(attach(first, {.name = "first", .cursor = {}}, KNELL_EVENT_EXIT, excludes).error, 0);
  Client& second = attached("second");
  send_attach(first, {.name = "first", .cursor = {}}, KNELL_EVENT_EXIT);
  send_attach(second, {.name = "second", .cursor = {}}, KNELL_EVENT_EXIT, excludes);
  durable_->recorder().flush();
  class Under final : public filter::Ancestry {
    bool is_under(const filter::Root&, const knell_event&) const override { return true; }
  };
  happen(journal::exit_event(1, 0x100), Under());
  until([&] { return second.seen.size() == 1; });
  EXPECT_THAT(pids(second), ElementsAre(1));
}

TEST_F(DurableListenersTest, WhatTheRetentionDeletedIsCounted) {
  stop();
  options_.most_bytes = 96 << 10;
  start();
  disconnect(attached("n"));
  for (int i = 0; i < 20; ++i) {
    exits(i * 300 + 1, i * 300 + 300);
    durable_->recorder().flush();
  }
  Client& client = attached("n");
  uint64_t delivered = 0;
  until([&] {
    if (!client.seen.empty()) (void)acknowledge(client, client.seen.back());
    return !client.seen.empty() && client.seen.back().pid == 6000;
  });
  ASSERT_EQ(client.seen[0].type, KNELL_EVENT_LOST);
  ASSERT_TRUE(client.seen[0].lost);
  EXPECT_TRUE(client.seen[0].exact);
  for (const Seen& one : client.seen) delivered += one.type == KNELL_EVENT_EXIT ? 1 : 0;
  EXPECT_EQ(delivered + *client.seen[0].lost, 6000U);
  for (size_t i = 1; i < client.seen.size(); ++i) {
    EXPECT_EQ(client.seen[i].type, KNELL_EVENT_EXIT);
    EXPECT_FALSE(client.seen[i].redelivered);
  }
  EXPECT_EQ(row("n").dropped, 0U);
}

// Events under an excluded process are stored for other listeners, and never delivered to this one.
TEST_F(DurableListenersTest, AnExcludedProcessStaysExcludedInTheJournal) {
  class Under final : public filter::Ancestry {
    bool is_under(const filter::Root&, const knell_event& event) const override {
      return event.pid == 2;
    }
  };
  Client& client = connect();
  const auto self = static_cast<int64_t>(::getpid());
  EXPECT_EQ(attach(client, {.name = "n", .cursor = {}}, KNELL_EVENT_EXIT,
                   {{.key = Key::kUnder, .excluded = true, .value = self}})
                .error,
            0);
  Client& other = attached("other");
  for (int pid = 1; pid <= 3; ++pid) happen(journal::exit_event(pid, 0x100), Under());
  until([&] { return client.seen.size() == 2 && other.seen.size() == 3; });
  EXPECT_THAT(pids(client), ElementsAre(1, 3));
  disconnect(client);
  Client& again = connect();
  EXPECT_EQ(attach(again, {.name = "n", .cursor = {}}, KNELL_EVENT_EXIT,
                   {{.key = Key::kUnder, .excluded = true, .value = self}})
                .error,
            0);
  until([&] { return again.seen.size() == 2; });
  EXPECT_THAT(pids(again), ElementsAre(1, 3));
  Client& wants = connect();
  EXPECT_EQ(attach(wants, {.name = "m", .cursor = {}}, KNELL_EVENT_EXIT,
                   {{.key = Key::kUnder, .excluded = false, .value = self}})
                .error,
            EINVAL);
}

TEST_F(DurableListenersTest, OnlyWhatPassesIsStoredAndDelivered) {
  Client& client = connect();
  EXPECT_EQ(attach(client, {.name = "n", .cursor = {}}, KNELL_EVENT_NONZERO_EXIT,
                   {{.key = Key::kPid, .excluded = false, .value = int64_t{3}}})
                .error,
            0);
  const knell_event zero = journal::exit_event(3, 0);
  EXPECT_FALSE(durable_->wants(zero, filter::NoAncestry()).any);
  exits(1, 3);
  until([&] { return client.seen.size() == 1; });
  EXPECT_EQ(client.seen[0].pid, 3);
  EXPECT_EQ(row("n").pending, 1U);
}

TEST_F(DurableListenersTest, ANameThatIsNotInUseCanBeForgotten) {
  Client& user = attached("n");
  Client& other = connect();
  const auto forget = [&](const std::string& name) {
    return ask(other, wire::encode(wire::Forget{.name = name, .owner = {}}, ++other.requests))
        .error;
  };
  EXPECT_EQ(forget("n"), EBUSY);
  EXPECT_EQ(forget("m"), ENOENT);
  disconnect(user);
  EXPECT_EQ(forget("n"), 0);
  EXPECT_THAT(durable_->status({}), IsEmpty());
  EXPECT_FALSE(durable_->wants(journal::exit_event(1, 0x100), filter::NoAncestry()).any);
}

TEST_F(DurableListenersTest, ANameExpiresButNotBecauseTheClockWasSetForward) {
  constexpr int64_t kDayNs = int64_t{86'400} * 1'000'000'000;
  attached("t");
  stop();
  FakeClock clock;
  clock.epoch_ns = system_clock().realtime_ns() - static_cast<int64_t>(clock.now_ns);
  start(clock);
  durable_->recorder().flush();
  clock.epoch_ns += 40 * kDayNs;
  clock.now_ns += kDayNs / 2;
  turn();
  EXPECT_FALSE(durable_->empty());
  clock.now_ns += kDayNs;
  until([&] {
    durable_->on_ready();
    return durable_->empty();
  });
}

// The answers of the recorder are not read, as if it had not answered.
TEST_F(DurableListenersTest, TheRequestsThatWaitAreBounded) {
  server::ConnectionFromClient& client = *connect().connection;
  const auto ask_once = [&] {
    return durable_->forget(client, {.name = "n", .owner = std::nullopt});
  };
  int waiting = 0;
  while (ask_once()) ASSERT_LT(++waiting, 100'000);
  EXPECT_EQ(ask_once().error().code, EIO);
  durable_->detach(client);  // the client disconnects
  EXPECT_FALSE(ask_once());
  until([&] {
    const bool accepted = ask_once().has_value();
    durable_->detach(client);
    return accepted;
  });
}

TEST_F(DurableListenersTest, FailuresAreCounted) {
  Client& client = attached("n");
  EXPECT_EQ(
      ask(client, wire::encode(wire::Acknowledge{.cursor = {}, .failed = 2}, ++client.requests))
          .error,
      0);
  EXPECT_EQ(
      ask(client, wire::encode(wire::Acknowledge{.cursor = "k1:x", .failed = 0}, ++client.requests))
          .error,
      EINVAL);
  exits(1, 1);
  until([&] { return client.seen.size() == 1; });
  EXPECT_EQ(row("n").failed, 2U);
  const auto status = durable_->status({});
  ASSERT_EQ(status.size(), 1U);
  EXPECT_EQ(status[0].failed, 2U);
  EXPECT_EQ(status[0].pid, ::getpid());
}

}  // namespace
}  // namespace knell::daemon
