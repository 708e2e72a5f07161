// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Pages of a real journal over real connections. Runs in one thread, apart from the one that reads
// pages.
#include "daemon/history_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "filter/predicate_for_test.h"
#include "hub/hub.h"
#include "journal/cursor.h"
#include "journal/store_for_test.h"
#include "server/client_for_test.h"

namespace knell::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Daemon final : public server::FakeDaemon {
 public:
  Result<void> read_history(server::ConnectionFromClient& client, const wire::History& asked,
                            hub::Filter filter) override {
    if (scope) filter.scope = *scope;
    return pages->read(client, asked, std::move(filter));
  }
  void detach_durable(server::ConnectionFromClient& client) override { pages->cancel(client); }
  HistoryPages* pages = nullptr;
  std::optional<hub::Scope> scope;  // scope of the next request, instead of the peer's
};

using Client = server::ConnectedClient;

// The answer to one request.
struct Answer {
  std::vector<int32_t> pids;  // pids of the events; -1 for a lost event
  std::vector<bool> exact, killed;
  std::vector<std::string> cursors;
  size_t frames = 0;  // number of frames with events
  wire::Page page;
  wire::Ack ack{.error = -1, .request = 0, .text = {}};
};

class HistoryPagesTest : public ::testing::Test {
 protected:
  HistoryPagesTest() {
    open_store();
    auto made =
        HistoryPages::create(folder_.file("journal.db"), [](server::ConnectionFromClient&) {});
    KNELL_CHECK(made.has_value());
    pages_ = *std::move(made);
    daemon_.pages = pages_.get();
  }
  ~HistoryPagesTest() override { clients_.clear(); }

  void open_store(uint64_t most_bytes = 0) {
    store_.reset();
    journal::StoreOptions options;
    options.path = folder_.file("journal.db");
    if (most_bytes != 0) options.most_bytes = most_bytes;
    auto store = journal::Store::open(options);
    KNELL_CHECK(store.has_value());
    store_.emplace(*std::move(store));
  }
  // Writes as the recorder does, with a commit at the end.
  void write(const std::vector<knell_event>& events) {
    for (const knell_event& event : events) ASSERT_TRUE(store_->append(event));
    ASSERT_TRUE(store_->commit());
    next_seq_ += static_cast<int64_t>(events.size());
    pages_->on_progress(store_->id(), next_seq_);
  }
  void exits(int first, int last, int32_t status = 0x100) {
    std::vector<knell_event> all;
    for (int pid = first; pid <= last; ++pid) all.push_back(journal::exit_event(pid, status));
    write(all);
  }

  Client& connect() {
    clients_.push_back(std::make_unique<Client>(hub_, daemon_, ++last_id_));
    clients_.back()->say_hello();
    return *clients_.back();
  }
  void disconnect(Client& client) {
    std::erase_if(clients_, [&](const auto& one) { return one.get() == &client; });
  }
  static void send(Client& client, const wire::History& asked) {
    const auto packet = wire::encode(asked, 7);
    KNELL_CHECK(packet && client.end.send(*packet));
  }

  // Runs one turn of the daemon, after a short wait for the thread.
  void turn() {
    for (const auto& client : clients_) client->serve();
    pollfd ready{.fd = pages_->fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&ready, 1, 5);
    pages_->on_ready();
  }
  // nullopt: no answer after `turns` turns.
  std::optional<Answer> take(Client& client, int turns = 2000) {
    Answer answer;
    for (int i = 0; i < turns; ++i) {
      turn();
      for (const std::string& packet : client.end.receive_all()) {
        const auto frame = wire::parse_packet(packet);
        KNELL_CHECK(frame.has_value());
        if (frame->type == wire::Message::kPast) {
          take_events(frame->payload, answer);
        } else if (frame->type == wire::Message::kPage) {
          const auto page = wire::decode_page(frame->payload);
          KNELL_CHECK(page.has_value());
          answer.page = *page;
        } else if (frame->type == wire::Message::kAck) {
          answer.ack = *wire::decode_ack(frame->payload);
          return answer;
        }
      }
    }
    return std::nullopt;
  }
  static void take_events(std::string_view payload, Answer& answer) {
    ++answer.frames;
    wire::EventReader reader(payload);
    for (knell_event event; reader.next(event);) {
      answer.pids.push_back(event.type == KNELL_EVENT_LOST ? -1 : event.pid);
      answer.exact.push_back((event.flags & KNELL_FLAG_EXACT) != 0);
      answer.killed.push_back((event.has & KNELL_HAS_KILLER) != 0);
      answer.cursors.emplace_back(event.cursor.data, event.cursor.size);
    }
    EXPECT_FALSE(reader.malformed());
  }
  Answer ask(Client& client, const wire::History& asked) {
    send(client, asked);
    auto answer = take(client);
    EXPECT_TRUE(answer);
    return answer.value_or(Answer{});
  }
  // Requests pages until the end; returns all pids.
  std::vector<int32_t> read_all(Client& client, wire::History asked, int* requests = nullptr) {
    std::vector<int32_t> pids;
    for (int i = 0; i < 10'000; ++i) {
      const Answer answer = ask(client, asked);
      if (requests != nullptr) ++*requests;
      EXPECT_EQ(answer.ack.error, 0) << answer.ack.text;
      if (answer.ack.error != 0) return pids;
      pids.insert(pids.end(), answer.pids.begin(), answer.pids.end());
      asked.place = answer.page.next;
      if (answer.page.end) return pids;
    }
    ADD_FAILURE() << "no end came";
    return pids;
  }

  journal::TemporaryFolder folder_;
  std::optional<journal::Store> store_;
  int64_t next_seq_ = 1;
  server::WireEventEncoder encoder_;
  hub::Hub hub_{encoder_, {}};
  Daemon daemon_;
  std::unique_ptr<HistoryPages> pages_;
  std::vector<std::unique_ptr<Client>> clients_;
  uint64_t last_id_ = 0;
};

std::vector<int32_t> numbers(int first, int last) {
  std::vector<int32_t> all;
  for (int i = first; i <= last; ++i) all.push_back(i);
  return all;
}

TEST_F(HistoryPagesTest, APageGoesOnWhereTheOneBeforeEnded) {
  exits(1, 5000);
  Client& client = connect();
  int requests = 0;
  EXPECT_EQ(read_all(client, {}, &requests), numbers(1, 5000));
  EXPECT_GT(requests, 5) << "one answer is bounded";
  const Answer first = ask(client, {});
  ASSERT_FALSE(first.cursors.empty());
  EXPECT_EQ(first.frames, 1U);
  EXPECT_EQ(first.cursors[0], journal::text_of({.journal = store_->id(), .seq = 1}));
}

TEST_F(HistoryPagesTest, ARequestWaitsUntilTheJournalIsOpened) {
  Client& client = connect();
  send(client, {});
  EXPECT_FALSE(take(client, 3));
  EXPECT_EQ(pages_->due_ns(), 0U) << "knelld would spin";
  exits(1, 3);
  const auto answer = take(client);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->pids, numbers(1, 3));
}

TEST_F(HistoryPagesTest, MaskPredicatesTimesAndBootAreTested) {
  exits(1, 100);
  exits(101, 110, 0);
  Client& client = connect();
  wire::History asked;
  asked.wanted.mask = KNELL_EVENT_NONZERO_EXIT;
  EXPECT_EQ(read_all(client, asked), numbers(1, 100));
  asked.since_ns = journal::exit_event(11).time_ns;
  asked.until_ns = journal::exit_event(20).time_ns;
  EXPECT_EQ(read_all(client, asked), numbers(11, 20));
  asked.wanted.predicates = {filter::wants(filter::Key::kPid, 15)};
  EXPECT_THAT(read_all(client, asked), ElementsAre(15));
  asked.wanted.predicates = {};
  asked.boot = journal::exit_event(1).id.boot;
  EXPECT_EQ(read_all(client, asked), numbers(11, 20));
  ++asked.boot;
  EXPECT_THAT(read_all(client, asked), IsEmpty());
}

TEST_F(HistoryPagesTest, FindsTheLastEvents) {
  exits(1, 5000, 0);
  exits(5001, 5002);
  exits(5003, 20'000, 0);
  Client& client = connect();
  wire::History asked;
  asked.wanted.mask = KNELL_EVENT_NONZERO_EXIT;
  asked.place.last = 1;
  EXPECT_THAT(read_all(client, asked), ElementsAre(5002));
  asked.place.last = 9;
  EXPECT_THAT(read_all(client, asked), ElementsAre(5001, 5002));
  asked.wanted.mask = KNELL_EVENT_EXIT;
  EXPECT_EQ(read_all(client, asked), numbers(19'992, 20'000));
  asked.until_ns = journal::exit_event(400).time_ns;
  EXPECT_EQ(read_all(client, asked), numbers(392, 400));
}

TEST_F(HistoryPagesTest, AUserGetsWhatItMaySee) {
  knell_event mine = journal::exit_event(1), killed = journal::exit_event(2),
              unknown = journal::exit_event(3);
  mine.uid = killed.uid = 1000;
  killed.has |= KNELL_HAS_KILLER | KNELL_HAS_KILLER_PID | KNELL_HAS_KILLER_UID;
  killed.killed_by.pid = 77;
  killed.killed_by.cause = KNELL_CAUSE_USER;  // by uid 0
  unknown.has &= ~KNELL_HAS_UID;
  unknown.uid = 1000;
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.has = KNELL_HAS_COUNT;
  lost.flags = KNELL_FLAG_EXACT;
  lost.lost_count = 4;
  lost.time_ns = journal::exit_event(5).time_ns;
  write({mine, killed, unknown, journal::exit_event(4), lost});
  Client& client = connect();
  daemon_.scope = hub::Scope{.every_user = false, .uid = 1000, .ns = 0};
  const Answer user = ask(client, {});
  EXPECT_THAT(user.pids, ElementsAre(1, 2, -1));
  EXPECT_THAT(user.killed, ElementsAre(false, false, false))
      << "the killer belongs to another user";
  EXPECT_FALSE(user.exact.back()) << "the count includes events of others";
  daemon_.scope = hub::Scope{.every_user = true, .uid = 0, .ns = 0};
  const Answer all = ask(client, {});
  EXPECT_THAT(all.pids, ElementsAre(1, 2, 3, 4, -1));
  EXPECT_THAT(all.killed, ElementsAre(false, true, false, false, false));
  EXPECT_TRUE(all.exact.back());
  daemon_.scope = hub::Scope{.every_user = true, .uid = 0, .ns = 4'026'532'000};
  const Answer other = ask(client, {});
  EXPECT_EQ(other.ack.error, EOPNOTSUPP);
  EXPECT_THAT(other.ack.text, HasSubstr("pid namespace"));
  EXPECT_THAT(other.pids, IsEmpty());
}

TEST_F(HistoryPagesTest, WaitsForTheNextEvents) {
  exits(1, 2);
  Client& client = connect();
  wire::History asked;
  asked.place = ask(client, asked).page.next;
  asked.wait = true;
  send(client, asked);
  EXPECT_FALSE(take(client, 3));
  exits(3, 3);
  const auto answer = take(client);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->pids, numbers(3, 3));
  // A client that disconnects while it waits.
  asked.place = answer->page.next;
  send(client, asked);
  EXPECT_FALSE(take(client, 3));
  disconnect(client);
  exits(4, 4);
  turn();
}

TEST_F(HistoryPagesTest, AClientThatLeavesIsForgotten) {
  exits(1, 1000);
  Client& leaves = connect();
  Client& stays = connect();
  send(leaves, {});
  using Step = server::ConnectionFromClient::Step;
  while (leaves.connection->step(system_clock().monotonic_ns()) == Step::kMore) {
  }
  disconnect(leaves);
  EXPECT_EQ(read_all(stays, {}), numbers(1, 1000));
}

TEST_F(HistoryPagesTest, ACursorOfAnotherJournalIsRefused) {
  exits(1, 2);
  Client& client = connect();
  wire::History asked;
  asked.place = ask(client, asked).page.next;
  store_.reset();
  for (const char* part : {"", "-wal", "-shm"})
    std::filesystem::remove(folder_.file("journal.db") + part);
  open_store();
  next_seq_ = 1;
  exits(7, 8);
  EXPECT_EQ(ask(client, asked).ack.error, ESTALE);
  EXPECT_EQ(read_all(client, {}), numbers(7, 8));
}

// The position in a request comes from the client, so it is not trusted.
TEST_F(HistoryPagesTest, NoPlaceIsHarmful) {
  exits(1, 100);
  Client& client = connect();
  const std::string id = store_->id();
  for (const int64_t seq : {int64_t{0}, int64_t{50}, int64_t{101}, INT64_MAX - 1, INT64_MAX})
    for (const int64_t last_seq : {int64_t{0}, int64_t{1}, int64_t{60}, INT64_MAX})
      for (const int64_t searched : {int64_t{0}, int64_t{1}, INT64_MAX})
        for (const uint64_t last : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
          wire::History asked;
          asked.place = {.cursor = journal::text_of({.journal = id, .seq = seq}),
                         .last_seq = last_seq,
                         .searched_seq = searched,
                         .last = last};
          const Answer answer = ask(client, asked);
          EXPECT_EQ(answer.ack.error, seq == INT64_MAX ? EINVAL : 0) << answer.ack.text;
        }
  for (const char* cursor : {"x", "k1:x:1", "k1:00000000-0000-0000-0000-000000000000:-1"}) {
    wire::History asked;
    asked.place.cursor = cursor;
    EXPECT_EQ(ask(client, asked).ack.error, EINVAL);
  }
  EXPECT_EQ(read_all(client, {}), numbers(1, 100));
}

TEST_F(HistoryPagesTest, WithoutAFileTheErrorSaysSo) {
  store_.reset();
  std::filesystem::remove(folder_.file("journal.db"));
  pages_->on_progress("", 0);  // the recorder cannot open the journal
  const Answer answer = ask(connect(), {});
  EXPECT_EQ(answer.ack.error, ENOENT);
  EXPECT_THAT(answer.ack.text, HasSubstr("journal.db"));
}

}  // namespace
}  // namespace knell::daemon
