// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/top_model.h"

#include <gtest/gtest.h>

#include <knell/knell.hpp>

#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

constexpr int64_t kSecond = TopModel::kSecondNs;
constexpr int64_t kStart = 1'790'000'000 * kSecond;

EventForTest exit_of(const std::string& comm, int status, int64_t at_ns, uint64_t life_ns = 1000) {
  EventForTest made;
  made.process(10, 1).exit(status).lasted(life_ns).comm(comm);
  made.event.time_ns = at_ns;
  return made;
}

EventForTest fork_of(const std::string& comm, int64_t at_ns) {
  EventForTest made;
  made.fork(1, 10).comm(comm);
  made.event.time_ns = at_ns;
  return made;
}

EventForTest lost(uint64_t count) {
  EventForTest made;
  made.event.type = KNELL_EVENT_LOST;
  made.event.has |= KNELL_HAS_COUNT;
  made.event.lost_count = count;
  return made;
}

TEST(TopModel, CountsEachSecondAndGroup) {
  TopModel model;
  for (int64_t i = 0; i < 10; ++i) {
    model.add(fork_of("make", kStart + i * kSecond));
    model.add(exit_of("cc1", i % 2 == 0 ? 0x100 : 0, kStart + i * kSecond + 5));
  }
  EXPECT_EQ(model.total().born, 10U);
  EXPECT_EQ(model.total().died, 10U);
  EXPECT_EQ(model.total().failed, 5U);
  EXPECT_EQ(model.graph().at(kStart / kSecond + 3).died, 1U);
  EXPECT_EQ(model.graph().at(kStart / kSecond + 10).died, 0U);
  const auto rows = model.rows(GroupKey::kName, GroupOrder::kRate, kStart + 10 * kSecond, 10);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].name, "cc1");
  EXPECT_EQ(rows[0].group->total.failed, 5U);
  EXPECT_EQ(rows[1].name, "make");
  EXPECT_EQ(rows[1].group->total.born, 10U);
  EXPECT_EQ(TopModel::recent(*rows[0].group, kStart + 10 * kSecond).died, 5U);
  EXPECT_EQ(TopModel::recent(*rows[0].group, kStart + 100 * kSecond).died, 0U);
}

TEST(TopModel, CountsNoThreads) {
  TopModel model;
  EventForTest thread = fork_of("x", kStart);
  thread.event.child_tid = 11;
  model.add(thread);
  EXPECT_EQ(model.total().born, 0U);
}

TEST(TopModel, SortsByRateTotalOrFailures) {
  TopModel model;
  for (int i = 0; i < 9; ++i) model.add(exit_of("old", 0, kStart));
  model.add(exit_of("failed", 9, kStart));
  for (int i = 0; i < 3; ++i) model.add(exit_of("new", 0, kStart + 10 * kSecond));
  const auto first = [&](GroupOrder order) {
    return model.rows(GroupKey::kName, order, kStart + 11 * kSecond, 1).at(0).name;
  };
  EXPECT_EQ(first(GroupOrder::kRate), "new");
  EXPECT_EQ(first(GroupOrder::kTotal), "old");
  EXPECT_EQ(first(GroupOrder::kFailures), "failed");
}

TEST(TopModel, GroupsByEachKey) {
  TopModel model;
  model.add(exit_of("a", 0, kStart).unit("cron.service").user("root").container("1f2e"));
  EventForTest unnamed = exit_of("a", 0, kStart);
  unnamed.event.has |= KNELL_HAS_UID;
  unnamed.event.uid = 1000;
  model.add(unnamed);
  const auto names = [&](GroupKey key) {
    std::string all;
    for (const auto& row : model.rows(key, GroupOrder::kTotal, kStart, 10))
      all += std::string(row.name) + ",";
    return all;
  };
  EXPECT_EQ(names(GroupKey::kUnit), ",cron.service,");
  EXPECT_EQ(names(GroupKey::kName), "a,");
  EXPECT_EQ(names(GroupKey::kUser), "1000,root,");
  EXPECT_EQ(names(GroupKey::kContainer), ",1f2e,");
}

TEST(TopModel, ManyGroupsReplaceTheOldest) {
  TopModel model({.most_groups = 8});
  for (int i = 0; i < 100; ++i) model.add(exit_of("n" + std::to_string(i), 0, kStart + i));
  EXPECT_LE(model.groups(GroupKey::kName), 8U);
  const auto rows = model.rows(GroupKey::kName, GroupOrder::kTotal, kStart, 100);
  uint64_t sum = 0;
  bool newest = false;
  for (const auto& row : rows) {
    sum += row.group->total.died;
    newest = newest || row.name == "n99";
  }
  EXPECT_EQ(sum, 100U);
  EXPECT_TRUE(newest);
  EXPECT_TRUE(rows.back().other);
}

TEST(TopModel, KeepsTheLastDeathsAndFailuresApart) {
  TopModel model({.most_deaths = 4, .most_failures = 4});
  model.add(exit_of("bad", 9, kStart));
  for (int i = 0; i < 100; ++i) model.add(exit_of("good", 0, kStart + i));
  ASSERT_EQ(model.deaths().size(), 4U);
  EXPECT_EQ(model.deaths().newest(0).number, 101U);
  EXPECT_EQ(model.deaths().newest(3).number, 98U);
  ASSERT_EQ(model.failures().size(), 1U);
  EXPECT_EQ(view(model.failures().newest(0).event().comm), "bad");
  EXPECT_EQ(model.deaths().position_of(99), 2U);
  EXPECT_EQ(model.deaths().position_of(97), 4U);
  EXPECT_EQ(model.deaths().position_of(200), 4U);
  EXPECT_FALSE(model.reaches_back_to(kStart));
  EXPECT_TRUE(model.reaches_back_to(kStart + 97));
}

TEST(TopModel, ALossIsInItsPlace) {
  TopModel model;
  model.add(exit_of("a", 0, kStart));
  model.add(lost(7));
  EXPECT_TRUE(model.deaths().newest(0).is_loss());
  EXPECT_EQ(model.losses().count(), 7U);
  EXPECT_EQ(model.total().died, 1U);
}

TEST(TopModel, FindsSiblingsOfTheSameParent) {
  TopModel model({.most_deaths = 16, .most_failures = 16});
  const auto child = [&](int32_t pid, int32_t parent, int64_t at, int status) {
    EventForTest made = exit_of("c", status, at);
    made.process(pid, parent);
    made.event.parent_id = {.boot = 1, .pid = parent, .start = 5, .kind = KNELL_ID_START};
    model.add(made);
    return made;
  };
  child(1, 100, kStart - 2 * kSecond, 9);
  child(2, 100, kStart - kSecond / 2, 9);
  child(3, 101, kStart, 0);
  const EventForTest it = child(4, 100, kStart, 9);
  child(5, 100, kStart + 1, 0);
  const auto siblings = model.siblings(it);
  ASSERT_EQ(siblings.size(), 2U);
  EXPECT_EQ(siblings[0]->event().pid, 2);
  EXPECT_EQ(siblings[1]->event().pid, 5);
}

TEST(TopModel, ACopyStaysAsItWas) {
  TopModel model({.most_deaths = 2, .most_failures = 2});
  model.add(exit_of("first name that is too long for a short string", 0, kStart));
  const TopModel copy = model;
  TopModel second = model;
  for (int i = 0; i < 9; ++i) model.add(exit_of("x", 0, kStart));
  second.add(exit_of("first name that is too long for a short string", 0, kStart));
  EXPECT_EQ(second.rows(GroupKey::kName, GroupOrder::kTotal, kStart, 1)[0].group->total.died, 2U);
  EXPECT_EQ(model.rows(GroupKey::kName, GroupOrder::kTotal, kStart, 2)[1].group->total.died, 1U);
  ASSERT_EQ(copy.deaths().size(), 1U);
  EXPECT_EQ(view(copy.deaths().newest(0).event().comm),
            "first name that is too long for a short string");
}

TEST(TopModel, CountsAgainAtOnceAfterTheClockWasSetBack) {
  TopModel model;
  model.add(exit_of("cc1", 0, 4000 * kSecond));
  for (int i = 0; i < 3; ++i) model.add(exit_of("cc1", 0, 400 * kSecond + i));
  EXPECT_EQ(model.graph().at(400).died, 3U);
  const auto rows = model.rows(GroupKey::kName, GroupOrder::kRate, 401 * kSecond, 10);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(TopModel::recent(*rows[0].group, 401 * kSecond).died, 3U);
  EXPECT_EQ(rows[0].group->total.died, 4U);
}

TEST(CountRing, BeginsAgainWithASlotThatIsOlderThanTheRing) {
  CountRing<4> ring;
  ring.slot(10).died = 1;
  ring.slot(12).died = 3;
  EXPECT_EQ(ring.at(10).died, 1U);
  EXPECT_EQ(ring.at(11).died, 0U);
  ring.slot(9).died = 7;
  EXPECT_EQ(ring.at(9).died, 7U);
  ring.slot(14).died = 5;
  EXPECT_EQ(ring.at(10).died, 0U);
  EXPECT_EQ(ring.at(12).died, 3U);
  ring.slot(10).died = 2;
  EXPECT_EQ(ring.at(10).died, 2U);
  EXPECT_EQ(ring.at(12).died, 0U);
  EXPECT_EQ(ring.at(14).died, 0U);
  ring.slot(1000).died = 1;
  EXPECT_EQ(ring.at(10).died, 0U);
  EXPECT_EQ(ring.at(998).died, 0U);
}

TEST(Lives, MedianIsCloseAndShortestExact) {
  for (const uint64_t base : {20'000ULL, 1'000'000ULL, 3'600'000'000'000ULL}) {
    Lives lives;
    for (uint64_t i = 0; i <= 100; ++i) lives.add(base + base * i / 100);
    const double exact = 1.5 * static_cast<double>(base);
    EXPECT_NEAR(static_cast<double>(lives.median_ns()), exact, 0.07 * exact);
    EXPECT_EQ(lives.shortest_ns(), base);
  }
}

TEST(Lives, ExtremesHaveBuckets) {
  Lives lives;
  EXPECT_FALSE(lives.any());
  lives.add(0);
  EXPECT_EQ(lives.shortest_ns(), 0U);
  EXPECT_GT(lives.median_ns(), 0U);
  for (int i = 0; i < 3; ++i) lives.add(UINT64_MAX);
  EXPECT_GT(lives.median_ns(), uint64_t{1} << 50);
}

}  // namespace
}  // namespace knell::cli
