// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/batch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json_value.h"
#include "fleet/event_for_test.h"

namespace knell::fleet {
namespace {

TEST(FleetBatch, IsOneJsonObjectALineWithTheHost) {
  BatchCutter cutter("db1");
  std::vector<EventBatch> out;
  cutter.add(exit_for_test(7), 41, 0, out);
  cutter.add(exit_for_test(8), 45, 0, out);
  ASSERT_TRUE(out.empty());
  cutter.end(out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].subject, "knell.ev.0.db1.exit.nz");
  EXPECT_EQ(out[0].count, 2u);
  EXPECT_EQ(message_id("j", out[0]), "j:41-45");
  EXPECT_EQ(std::ranges::count(out[0].payload, '\n'), 2);
  const auto first = parse_json_object(out[0].payload.substr(0, out[0].payload.find('\n')));
  ASSERT_TRUE(first);
  EXPECT_EQ((*first)["host"].text(), "db1");
  EXPECT_EQ((*first)["type"].text(), "exit");
  EXPECT_EQ((*first)["pid"].count(), 7u);
}

TEST(FleetBatch, EndsAtItsLimits) {
  std::vector<EventBatch> out;
  BatchCutter by_count("h", {.events = 3});
  for (uint64_t seq = 1; seq <= 7; ++seq) by_count.add(exit_for_test(1), seq, 0, out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[1].first, 4u);
  EXPECT_EQ(out[1].last, 6u);

  out.clear();
  BatchCutter by_bytes("h", {.bytes = 1500});
  for (uint64_t seq = 1; seq <= 9; ++seq) by_bytes.add(exit_for_test(1), seq, 0, out);
  by_bytes.end(out);
  ASSERT_GT(out.size(), 1u);
  uint64_t next = 1;
  for (const EventBatch& batch : out) {
    EXPECT_LE(batch.payload.size(), 1500u);
    EXPECT_EQ(batch.first, next);
    next = batch.last + 1;
  }
  EXPECT_EQ(next, 10u);
}

TEST(FleetBatch, ContainsAnEventThatIsLargerThanTheLimit) {
  std::vector<EventBatch> out;
  BatchCutter cutter("h", {.bytes = 10});
  cutter.add(exit_for_test(1), 1, 0, out);
  cutter.add(exit_for_test(2), 2, 0, out);
  cutter.end(out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].count, 1u);
}

TEST(FleetBatch, EndsWhenItIsOld) {
  std::vector<EventBatch> out;
  BatchCutter cutter("h", {.age = std::chrono::nanoseconds(100)});
  EXPECT_FALSE(cutter.due_ns());
  cutter.add(exit_for_test(1), 1, 1000, out);
  cutter.add(exit_for_test(2), 2, 1050, out);
  EXPECT_EQ(cutter.due_ns(), 1100u);
  cutter.end_old(1099, out);
  EXPECT_TRUE(out.empty());
  cutter.end_old(1100, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].count, 2u);
  EXPECT_FALSE(cutter.due_ns());
}

TEST(FleetBatch, HasOneSubject) {
  std::vector<EventBatch> out;
  BatchCutter cutter("h");
  cutter.add(exit_for_test(1, 0), 1, 0, out);
  cutter.add(exit_for_test(2, 9), 2, 0, out);
  knell_event lost = event_for_test(KNELL_EVENT_LOST);
  lost.has = KNELL_HAS_COUNT;
  lost.lost_count = 12;
  cutter.add(lost, 3, 0, out);
  cutter.end(out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[1].subject, "knell.ev.0.h.exit.sig");
  EXPECT_EQ(out[1].lost, 0u);
  EXPECT_EQ(out[2].lost, 12u);
}

}  // namespace
}  // namespace knell::fleet
