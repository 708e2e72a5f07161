// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The durable listeners of a journal, through its Store.
#include "journal/durable_names.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "journal/store_for_test.h"

namespace knell::journal {
namespace {

class DurableNamesTest : public ::testing::Test {
 protected:
  DurableNamesTest() { open(); }
  void open() {
    store_.reset();
    auto store = Store::open({.path = folder_.file("journal.db"), .most_bytes = 128 << 10}, clock_,
                             replacement_ = {});
    ASSERT_TRUE(store) << store.error().message();
    store_.emplace(*std::move(store));
  }
  // One exit in three fails; one in two is an exit of grep, the others of sh.
  static knell_event event_of(int pid) {
    knell_event event = exit_event(pid, pid % 3 == 0 ? 0x100 : 0);
    if (pid % 2 != 0) event.comm = bytes("sh");
    return event;
  }
  void write(int first, int last) {
    for (int pid = first; pid <= last; ++pid) ASSERT_TRUE(store_->append(event_of(pid)));
    ASSERT_TRUE(store_->commit());
  }
  // Writes enough events for the retention to delete the first ones.
  void write_many(int first) {
    for (int i = 0; i < 60; ++i) write(first + i * 100, first + i * 100 + 99);
  }
  void put(const DurableName& name) {
    ASSERT_TRUE(store_->put(name));
    ASSERT_TRUE(store_->commit());
  }
  const DurableName& name() const {
    const DurableName* found = store_->names().find(1000, "cleanup");
    KNELL_CHECK(found != nullptr);
    return *found;
  }
  static DurableName cleanup() {
    return {.name = "cleanup",
            .owner = 1000,
            .mask = KNELL_EVENT_NONZERO_EXIT,
            .predicates = {{filter::Key::kComm, false, std::string("grep")}}};
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  Store::Replacement replacement_;
  std::optional<Store> store_;
};

TEST_F(DurableNamesTest, AreThereAfterARestart) {
  DurableName first = cleanup();
  first.predicates = {
      {filter::Key::kComm, true, std::string("g*")},
      {filter::Key::kUid, false, int64_t{33}},
      {filter::Key::kEnded, false,
       filter::Ended{.kind = filter::Ended::Kind::kCodes, .first = 2, .last = 255}}};
  first.created_ns = 17;
  DurableName second = cleanup();
  second.owner = 0;
  put(first);
  put(second);
  open();
  EXPECT_EQ(store_->names().all(), (std::vector{second, first}));
  ASSERT_TRUE(store_->remove(1000, "cleanup"));
  ASSERT_TRUE(store_->commit());
  open();
  EXPECT_EQ(store_->names().all(), (std::vector{second}));
  EXPECT_EQ(store_->remove(1000, "cleanup").error().code, ENOENT);
}

TEST(DurableFilter, WantsAnExitWhoseDetailsWereLost) {
  DurableName name{.name = "n", .owner = 1000, .mask = KNELL_EVENT_NONZERO_EXIT};
  name.predicates = {{filter::Key::kComm, false, std::string("sh")},
                     {filter::Key::kUnit, true, std::string("ssh.service")}};
  const auto filter = DurableFilter::create(name);
  ASSERT_TRUE(filter);
  knell_event event = exit_event(5);
  event.comm = event.unit = event.cgroup = {};
  EXPECT_FALSE(filter->wants(event, 1));
  event.flags = KNELL_FLAG_DETAILS_LOST;
  EXPECT_TRUE(filter->wants(event, 1));
  event.wait_status = 0;
  EXPECT_FALSE(filter->wants(event, 1)) << "the status is known";

  name.every_user = false;
  const auto of_user = DurableFilter::create(name);
  ASSERT_TRUE(of_user);
  event = exit_event(5);
  event.comm = {};
  event.flags = KNELL_FLAG_DETAILS_LOST;
  event.uid = 1000;
  EXPECT_TRUE(of_user->wants(event, 1));
  event.has &= ~uint64_t{KNELL_HAS_UID};
  EXPECT_FALSE(of_user->wants(event, 1)) << "the process may belong to another user";
}

TEST_F(DurableNamesTest, AnAcknowledgementOnlyRises) {
  put(cleanup());
  write(1, 10);
  clock_.now_ns = 123;
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 7));
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 5));
  ASSERT_TRUE(store_->commit());
  open();
  EXPECT_EQ(name().acked, 7);
  EXPECT_EQ(name().used_ns, 123);
  EXPECT_EQ(store_->acknowledge(1000, "other", 5).error().code, ENOENT);
  EXPECT_EQ(store_->acknowledge(1000, "cleanup", 11).error().code, ERANGE) << "not written yet";
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 10));
  ASSERT_TRUE(store_->commit());
  EXPECT_EQ(name().acked, 10);
}

TEST_F(DurableNamesTest, AreForgottenUnlessCommitted) {
  put(cleanup());
  write(1, 10);
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 7));
  open();
  EXPECT_EQ(name().acked, 0);
}

TEST_F(DurableNamesTest, CountWhatRetentionDeletes) {
  DurableName name_ = cleanup();
  name_.acked = 50;
  put(name_);
  DurableName done = cleanup();
  done.name = "done";
  done.acked = 1'000'000;
  put(done);
  write_many(1);
  const int64_t oldest = store_->oldest_seq();
  ASSERT_GT(oldest, 100);
  uint64_t expected = 0;
  for (int64_t seq = 51; seq < oldest; ++seq) expected += seq % 6 == 0 ? 1 : 0;
  open();
  EXPECT_EQ(name().dropped, expected);
  EXPECT_TRUE(name().dropped_exact);
  EXPECT_EQ(name().dropped_types, KNELL_EVENT_EXIT);
  EXPECT_EQ(store_->names().find(1000, "done")->dropped, 0U);
  // The next acknowledgement covers the lost event that reports them.
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", oldest));
  EXPECT_EQ(name().dropped, 0U);
}

// When a block becomes the oldest one, the writer reads its number of events.
TEST_F(DurableNamesTest, CountsTheEventsByWhichTheOldestBlockHasGrown) {
  DurableName every = cleanup();
  every.mask = KNELL_EVENT_EXIT;
  every.predicates = {};
  every.acked = 1;
  put(every);
  write(1, 1);
  write_many(2);
  ASSERT_GT(store_->oldest_seq(), 100);
  EXPECT_EQ(static_cast<int64_t>(name().dropped), store_->oldest_seq() - 2);
  EXPECT_TRUE(name().dropped_exact);
}

TEST_F(DurableNamesTest, AnAcknowledgementOfADeletedEventMakesTheCountAnUpperBound) {
  put(cleanup());
  write_many(1);
  const uint64_t dropped = name().dropped;
  ASSERT_GT(dropped, 0U);
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 6));
  EXPECT_EQ(name().dropped, dropped);
  EXPECT_FALSE(name().dropped_exact);
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", store_->oldest_seq()));
  EXPECT_EQ(name().dropped, 0U);
  EXPECT_TRUE(name().dropped_exact);
}

TEST_F(DurableNamesTest, WhatWasInFlightWhenItWasDeletedKeepsTheCountExact) {
  put(cleanup());
  write_many(1);
  const uint64_t dropped = name().dropped;
  ASSERT_GT(dropped, 2U);
  ASSERT_TRUE(name().dropped_exact);
  // Two events were sent before they were deleted.
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 12, {.events = {{.seq = 6}, {.seq = 12}}}));
  EXPECT_EQ(name().dropped, dropped - 2);
  EXPECT_TRUE(name().dropped_exact);
  // A lost event that reported ten more.
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 72, {.events = {{.seq = 72, .deleted = 10}}}));
  EXPECT_EQ(name().dropped, dropped - 12);
  EXPECT_TRUE(name().dropped_exact);
}

TEST_F(DurableNamesTest, CountsWhatIsPending) {
  put(cleanup());
  write(1, 30);  // 6, 12, 18, 24, 30
  EXPECT_EQ(name().pending, 5U);
  EXPECT_EQ(name().oldest_pending_ns, event_of(6).time_ns);
  ASSERT_TRUE(store_->acknowledge(
      1000, "cleanup", 12,
      {.events = {{.seq = 6}, {.seq = 12}}, .oldest_pending_ns = event_of(18).time_ns}));
  EXPECT_EQ(name().pending, 3U);
  EXPECT_TRUE(name().pending_exact);
  EXPECT_EQ(name().oldest_pending_ns, event_of(18).time_ns);
  ASSERT_TRUE(store_->commit());
  open();
  EXPECT_EQ(name().pending, 3U);
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 30));
  EXPECT_EQ(name().pending, 0U);
  EXPECT_EQ(name().oldest_pending_ns, 0);
}

TEST_F(DurableNamesTest, AreKeptWhenTheFileIsMovedAside) {
  put(cleanup());
  DurableName other = cleanup();
  other.name = "other";
  put(other);
  write(1, 12);
  ASSERT_TRUE(store_->acknowledge(1000, "cleanup", 6) && store_->commit());
  store_.reset();
  const std::string path = folder_.file("journal.db");
  auto database = Database::open(path, Database::Mode::kWrite);
  ASSERT_TRUE(
      database->execute("UPDATE durable SET checksum=checksum+1 WHERE name=CAST('other' AS BLOB)"));
  *database = Database();
  open();
  EXPECT_NE(replacement_.moved_to, "");
  ASSERT_EQ(store_->names().all().size(), 1U);
  EXPECT_EQ(name().acked, 0);
  EXPECT_EQ(name().mask, cleanup().mask);
  EXPECT_EQ(name().predicates, cleanup().predicates);
}

TEST_F(DurableNamesTest, ADamagedRowIsNotUsed) {
  put(cleanup());
  store_.reset();
  const std::string path = folder_.file("journal.db");
  auto database = Database::open(path, Database::Mode::kWrite);
  ASSERT_TRUE(database->execute("UPDATE durable SET owner=owner+1"));
  *database = Database();
  open();
  EXPECT_NE(replacement_.moved_to, "");
  EXPECT_TRUE(store_->names().all().empty());
}

}  // namespace
}  // namespace knell::journal
