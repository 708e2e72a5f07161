// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Pages of a real journal, without connections. The clock is set by the tests, so a user who has
// used up the credit of CPU time does not get a new one.
#include "daemon/durable_pages.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "filter/predicate_for_test.h"
#include "journal/store_for_test.h"

namespace knell::daemon {
namespace {

constexpr int kEvents = 20'000;
constexpr uint32_t kOne = 1001, kOther = 1002;  // users

class DurablePagesTest : public ::testing::Test {
 protected:
  DurablePagesTest() {
    journal::StoreOptions options;
    options.path = folder_.file("journal.db");
    auto store = journal::Store::open(options);
    KNELL_CHECK(store.has_value());
    for (int pid = 1; pid <= kEvents; ++pid)
      KNELL_CHECK(store->append(journal::exit_event(pid)).has_value());
    KNELL_CHECK(store->commit().has_value());
    id_ = store->id();
    pages_.emplace(
        options.path,
        [this] {
          const std::lock_guard lock(mutex_);
          ++ready_;
          wake_.notify_one();
        },
        clock_);
  }

  // A request for the events of all processes, or with a filter that costs much and passes none.
  PageRequest request(uint64_t client, uint32_t account, bool costs_much, int64_t from = 1) {
    journal::DurableName row{.name = "x", .owner = account, .mask = KNELL_EVENT_EXIT};
    for (int i = 0; costs_much && i < 200; ++i)
      row.predicates.push_back(filter::wants(filter::Key::kExe, "*/*s*e*r*" + std::to_string(i)));
    auto filter = journal::DurableFilter::create(row);
    KNELL_CHECK(filter.has_value());
    return {.client = client,
            .account = account,
            .journal = id_,
            .name = row.name,
            .owner = account,
            .from = from,
            .filter = std::make_shared<const journal::DurableFilter>(*std::move(filter)),
            .scope = {},
            .most_events = 100};
  }
  // Waits for the next page.
  Page take() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return ready_ > 0; });
    --ready_;
    lock.unlock();
    auto page = pages_->take();
    KNELL_CHECK(page.has_value());
    return *std::move(page);
  }

  journal::TemporaryFolder folder_;
  FakeClock clock_;
  std::string id_;
  std::mutex mutex_;
  std::condition_variable wake_;
  int ready_ = 0;  // guarded by mutex_
  std::optional<DurablePages> pages_;
};

TEST_F(DurablePagesTest, AnExpensiveFilterDoesNotDelayAnotherUser) {
  pages_->request(request(1, kOne, true));
  pages_->request(request(2, kOther, false));
  const Page first = take();
  EXPECT_EQ(first.client, 1U);
  ASSERT_TRUE(first.outcome) << first.outcome.error().message();
  EXPECT_FALSE(first.end) << "otherwise the filter is not expensive";
  EXPECT_TRUE(first.entries.empty());
  EXPECT_GT(first.next_seq, 1);
  pages_->request(request(1, kOne, true, first.next_seq));
  const Page second = take();
  EXPECT_EQ(second.client, 2U);
  ASSERT_TRUE(second.outcome) << second.outcome.error().message();
  EXPECT_FALSE(second.entries.empty());
  if (const uint64_t due = pages_->due_ns(); due != 0) {  // a page takes long with a sanitizer
    clock_.now_ns = due;
    EXPECT_FALSE(pages_->take());  // starts the request that waited
  }
  const Page third = take();
  EXPECT_EQ(third.client, 1U);
  EXPECT_GT(third.next_seq, first.next_seq);
}

TEST_F(DurablePagesTest, AUserIsChargedTheTimeOfThePages) {
  int64_t next = 1;
  for (pages_->request(request(1, kOne, true)); pages_->due_ns() == 0;) {
    next = take().next_seq;
    ASSERT_LT(next, kEvents) << "otherwise the filter is not expensive";
    pages_->request(request(1, kOne, true, next));
  }
  EXPECT_GT(next, 1);
  EXPECT_GT(pages_->due_ns(), clock_.monotonic_ns());
  pages_->request(request(2, kOther, false));
  EXPECT_EQ(take().client, 2U);
  clock_.now_ns = pages_->due_ns();
  EXPECT_FALSE(pages_->take());  // starts the request that waited
  EXPECT_EQ(take().client, 1U);
}

TEST_F(DurablePagesTest, AFailureDelaysOnlyItsClient) {
  PageRequest fails = request(1, kOne, false);
  fails.journal = "other";
  pages_->request(fails);
  EXPECT_FALSE(take().outcome);
  pages_->request(fails);
  EXPECT_GT(pages_->due_ns(), clock_.monotonic_ns());
  pages_->request(request(2, kOther, false));
  EXPECT_EQ(take().client, 2U);
  EXPECT_GT(pages_->due_ns(), clock_.monotonic_ns());
  clock_.now_ns = pages_->due_ns();
  EXPECT_FALSE(pages_->take());
  EXPECT_EQ(take().client, 1U);
  EXPECT_EQ(pages_->due_ns(), 0U);
}

TEST_F(DurablePagesTest, ACancelledRequestIsNotServed) {
  pages_->request(request(1, kOne, true));
  pages_->request(request(2, kOne, false));
  pages_->request(request(3, kOther, false));
  pages_->cancel(2);
  EXPECT_EQ(take().client, 1U);
  EXPECT_EQ(take().client, 3U);
  EXPECT_EQ(pages_->due_ns(), 0U);
}

}  // namespace
}  // namespace knell::daemon
