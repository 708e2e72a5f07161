// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/merged_source.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <string>

namespace knell::source {
namespace {

constexpr uint32_t kWhole =
    KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT | KNELL_EVENT_COMM;

// Sends the stamps that a test put into `queue`, as events.
class Scripted : public Source {
 public:
  explicit Scripted(uint32_t types) : types_(types), fd_(::eventfd(0, EFD_CLOEXEC)) {}
  Result<void> set_request(const SourceRequest& wanted) override {
    asked.push_back(wanted.mask);
    return {};
  }
  int fd() const override { return fd_.get(); }
  Result<Drained> drain(Sink& sink, size_t bound) override {
    if (broken) return say(EIO, "broken");
    const bool any = !queue.empty();
    for (; !queue.empty() && bound > 0; --bound) {
      const uint64_t stamp = queue.front();
      queue.erase(queue.begin());
      if (types_ == kWhole) {
        event::Full full;
        full.what = KNELL_EVENT_EXIT;
        full.stamp_ns = stamp;
        sink.on_full(full);
      } else {
        event::Raw raw;
        raw.what = KNELL_EVENT_UID;
        raw.stamp_ns = stamp;
        sink.on_raw(raw);
      }
    }
    return !queue.empty() ? Drained::kMore : any ? Drained::kSome : Drained::kEmpty;
  }
  Result<void> check_health(Sink&) override { return {}; }
  Capabilities capabilities() const override {
    return {.types = types_, .full_events = types_ == kWhole};
  }
  Counters counters() const override { return {1, 2, 3}; }

  std::vector<uint64_t> queue;
  std::vector<uint32_t> asked;
  bool broken = false;

 private:
  uint32_t types_;
  UniqueFd fd_;
};

class Written : public Sink {
 public:
  void on_raw(const event::Raw& raw) override {
    if (raw.what == KNELL_EVENT_LOST) return lost.push_back(raw.u.lost.types);
    text += "r" + std::to_string(raw.stamp_ns) + " ";
  }
  void on_full(const event::Full& full) override {
    text += "f" + std::to_string(full.stamp_ns) + " ";
  }
  void on_process_ended(int32_t, uint64_t, bool, int32_t) override {}
  std::string text;
  std::vector<uint32_t> lost;
};

struct Pair {
  explicit Pair(uint32_t mask) {
    auto made = std::make_unique<Scripted>(kWhole);
    whole = made.get();
    auto created = MergedSource::create(
        std::move(made),
        [this](const SourceRequest& wanted) -> Result<std::unique_ptr<Source>> {
          if (refuse) return say(EPERM, "no");
          auto opened = std::make_unique<Scripted>(KNELL_EVENT_UID);
          rest = opened.get();
          rest->asked.push_back(wanted.mask);
          ++opens;
          return std::unique_ptr<Source>(std::move(opened));
        },
        SourceRequest{.mask = mask});
    if (created) merged = *std::move(created);
  }
  std::unique_ptr<MergedSource> merged;
  Scripted *whole = nullptr, *rest = nullptr;
  bool refuse = false;
  int opens = 0;
};

TEST(MergedSource, OpensTheRestOnlyForTypesThatTheWholeLacks) {
  Pair pair(KNELL_EVENT_EXIT);
  EXPECT_EQ(pair.opens, 0);
  ASSERT_TRUE(pair.merged->set_request({.mask = KNELL_EVENT_EXIT | KNELL_EVENT_UID}));
  EXPECT_EQ(pair.opens, 1);
  EXPECT_EQ(pair.rest->asked, std::vector<uint32_t>{KNELL_EVENT_UID});
  ASSERT_TRUE(pair.merged->set_request({.mask = KNELL_EVENT_NONZERO_EXIT}));
  EXPECT_EQ(pair.merged->counters().received, 1u) << "the rest is closed";
}

TEST(MergedSource, TriesAgainToOpenTheRest) {
  Pair pair(KNELL_EVENT_EXIT);
  pair.refuse = true;
  ASSERT_TRUE(pair.merged->set_request({.mask = KNELL_EVENT_EXIT | KNELL_EVENT_UID}));
  Written sink;
  ASSERT_TRUE(pair.merged->check_health(sink));
  EXPECT_EQ(pair.merged->capabilities().types, kWhole);
  EXPECT_TRUE(sink.lost.empty());
  pair.refuse = false;
  ASSERT_TRUE(pair.merged->check_health(sink));
  EXPECT_EQ(pair.merged->capabilities().types, kWhole | KNELL_EVENT_UID);
  EXPECT_EQ(sink.lost, std::vector<uint32_t>{KNELL_EVENT_UID});
  ASSERT_TRUE(pair.merged->check_health(sink));
  EXPECT_EQ(pair.opens, 1);
}

TEST(MergedSource, DoesNotOpenTheRestWhenItsTypesAreNoLongerWanted) {
  Pair pair(KNELL_EVENT_EXIT);
  pair.refuse = true;
  ASSERT_TRUE(pair.merged->set_request({}));
  ASSERT_TRUE(pair.merged->set_request({.mask = KNELL_EVENT_EXIT}));
  pair.refuse = false;
  Written sink;
  ASSERT_TRUE(pair.merged->check_health(sink));
  EXPECT_EQ(pair.opens, 0);
}

TEST(MergedSource, OpensTheRestForMaskZeroWhichMeansAll) {
  Pair pair(0);
  ASSERT_EQ(pair.opens, 1);
  EXPECT_EQ(pair.rest->asked[0], KNELL_EVENT_ALL & ~(kWhole | KNELL_EVENT_NONZERO_EXIT));
}

TEST(MergedSource, OrdersEventsOfBothByStamp) {
  Pair pair(KNELL_EVENT_ALL);
  pair.whole->queue = {10, 30, 31};
  pair.rest->queue = {5, 20, 30, 40};
  Written sink;
  EXPECT_EQ(*pair.merged->drain(sink, 100), Drained::kSome);
  EXPECT_EQ(sink.text, "r5 f10 r20 r30 f30 f31 r40 ");
  EXPECT_EQ(*pair.merged->drain(sink, 100), Drained::kEmpty);
}

TEST(MergedSource, KeepsTheOrderAcrossABoundedDrain) {
  Pair pair(KNELL_EVENT_ALL);
  pair.whole->queue = {10, 20, 30, 40};
  pair.rest->queue = {15, 35};
  Written sink;
  EXPECT_EQ(*pair.merged->drain(sink, 4), Drained::kMore);
  EXPECT_EQ(sink.text, "f10 r15 f20 ");
  EXPECT_EQ(*pair.merged->drain(sink, 4), Drained::kSome);
  EXPECT_EQ(sink.text, "f10 r15 f20 f30 r35 f40 ");
}

TEST(MergedSource, ReturnsAnErrorOfTheRest) {
  Pair pair(KNELL_EVENT_ALL);
  pair.rest->broken = true;
  Written sink;
  EXPECT_FALSE(pair.merged->drain(sink, 4));
}

}  // namespace
}  // namespace knell::source
