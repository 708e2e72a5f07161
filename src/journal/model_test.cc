// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Random histories of a journal: events, commits, crashes, acknowledgements, damage, restarts, a
// clock that is set forward and back, with a small limit of bytes. After each step, what a reader
// gets and the counts of its lost events are all that happened, and a durable listener's count is
// that of the events that it did not get.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "journal/store_for_test.h"

namespace knell::journal {
namespace {

class History {
 public:
  explicit History(uint32_t seed) : random_(seed) {
    open();
    KNELL_CHECK(store_->put({.name = "n", .owner = 1, .mask = KNELL_EVENT_NONZERO_EXIT}) &&
                store_->commit());
  }

  void step() {
    const int kind = below(100);
    if (kind < 60)
      append(1 + below(150), true);
    else if (kind < 70)
      append(1 + below(150), false), open();  // a crash before the commit
    else if (kind < 85)
      acknowledge();
    else if (kind < 91)
      open();
    else if (kind < 93)
      clock_error_ns_ = (below(2000) - 1000) * int64_t{1'000'000'000};
    else
      damage();
  }

  void check() {
    auto reader = Reader::open(path_);
    ASSERT_TRUE(reader) << reader.error().message();
    reader->seek(1);
    EveryEvent every;
    const auto all = read_all(*reader, every, 1 + static_cast<size_t>(below(300)));
    ASSERT_TRUE(all) << all.error().message();
    int64_t next = 1;
    for (const Seen& one : *all) {
      ASSERT_EQ(one.seq, next);
      if (one.type == KNELL_EVENT_LOST) {
        ASSERT_TRUE(one.lost);
        next += static_cast<int64_t>(*one.lost);
        continue;
      }
      EXPECT_EQ(one.pid, one.seq);
      EXPECT_EQ(one.status, status_of(one.seq));
      ++next;
    }
    EXPECT_EQ(next, newest_ + 1);

    const DurableName* name = store_->names().find(1, "n");
    ASSERT_NE(name, nullptr);
    EXPECT_EQ(name->acked, acked_);
    uint64_t missed = 0;
    for (int64_t seq = acked_ + 1; seq < store_->oldest_seq(); ++seq)
      missed += status_of(seq) != 0 ? 1 : 0;
    if (name->dropped_exact) {
      EXPECT_EQ(name->dropped, missed);
    } else if (!damaged_) {
      EXPECT_GE(name->dropped, missed);
    }
    EXPECT_TRUE(name->dropped_exact || damaged_ || early_);
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }
  static int32_t status_of(int64_t seq) { return seq % 3 == 0 ? 0x100 : 0; }

  void open() {
    store_.reset();
    Store::Replacement replacement;
    auto store = Store::open({.path = path_, .most_bytes = 96 << 10, .checkpoint_bytes = 64 << 10},
                             system_clock(), replacement);
    KNELL_CHECK(store && replacement.moved_to.empty());
    store_.emplace(*std::move(store));
    KNELL_CHECK(store_->next_seq() == newest_ + 1);
  }
  void append(int count, bool commit) {
    for (int i = 1; i <= count; ++i) {
      const auto seq = static_cast<int32_t>(newest_ + i);
      knell_event event = exit_event(seq, status_of(seq));
      event.time_ns += clock_error_ns_;
      KNELL_CHECK(store_->append(event));
    }
    if (!commit) return;
    KNELL_CHECK(store_->commit());
    newest_ += count;
  }
  void acknowledge() {
    const int64_t seq = below(static_cast<int>(newest_) + 1);
    KNELL_CHECK(store_->acknowledge(1, "n", seq) && store_->commit());
    if (seq > acked_ && seq + 1 < store_->oldest_seq()) early_ = true;
    acked_ = std::max(acked_, seq);
  }
  // Of any block but the newest, without which the writer would begin a new journal.
  void damage() {
    auto database = Database::open(path_, Database::Mode::kWrite);
    KNELL_CHECK(database && database->keep_wal() &&
                database->execute("UPDATE block SET checksum=checksum+1 WHERE first_seq="
                                  "(SELECT first_seq FROM block WHERE first_seq<(SELECT "
                                  "max(first_seq) FROM block) ORDER BY random() LIMIT 1)"));
    damaged_ = true;
  }

  std::mt19937 random_;
  TemporaryFolder folder_;
  std::string path_ = folder_.file("journal.db");
  std::optional<Store> store_;
  int64_t newest_ = 0, acked_ = 0, clock_error_ns_ = 0;
  bool damaged_ = false;
  bool early_ = false;  // a deleted event was acknowledged, before one that was not
};

TEST(JournalModel, WhatIsReadAndWhatIsLostIsWhatHappened) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    for (int step = 0; step < 60; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      history.step();
      history.check();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace knell::journal
