// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/repeats.h"

#include <gtest/gtest.h>

#include <knell/knell.hpp>

#include "fleet/event_for_test.h"

namespace knell::fleet {
namespace {

std::string key(const knell_event& event, const std::string& host = "h") {
  const auto value = parse_json_object(R"({"host":")" + host + "\"," + json(event).substr(1));
  return value ? event_key(*value) : "";
}

TEST(FleetRepeats, AProcessExitsOnce) {
  knell_event live = exit_for_test(7);
  knell_event recovered = live;
  recovered.mono_ns += 5000;
  recovered.seq = 99;
  recovered.flags = KNELL_FLAG_RECOVERED;
  EXPECT_EQ(key(live), key(recovered));
  EXPECT_NE(key(live), key(exit_for_test(8)));
  EXPECT_NE(key(live), key(live, "other"));
  EXPECT_NE(key(live), key(event_for_test(KNELL_EVENT_EXEC)));
}

TEST(FleetRepeats, AProcessExecsOften) {
  const knell_event first = event_for_test(KNELL_EVENT_EXEC);
  knell_event second = first;
  second.seq = 4;  // another journal
  EXPECT_EQ(key(first), key(second));
  second.mono_ns += 1;
  EXPECT_NE(key(first), key(second));
}

TEST(FleetRepeats, ForksAreOfTheChild) {
  knell_event first = event_for_test(KNELL_EVENT_FORK);
  first.child_id = {1, 10, 10, KNELL_ID_START};
  knell_event second = first;
  second.child_id.pid = 11;
  EXPECT_NE(key(first), key(second));
}

// A forwarder that was restarted gets an unacknowledged lost event again, with a new seq; the lost
// event of a durable listener gets a new timestamp too.
TEST(FleetRepeats, LostEventsAreOfTheCursor) {
  const std::string cursor = "j1:7", later = "j1:9";
  knell_event first = event_for_test(KNELL_EVENT_LOST);
  first.cursor = {cursor.data(), cursor.size()};
  knell_event again = first;
  again.seq += 5;
  again.mono_ns += 1;
  EXPECT_EQ(key(first), key(again));
  again.cursor = {later.data(), later.size()};
  EXPECT_NE(key(first), key(again));
  first.cursor = again.cursor = {};  // no journal
  EXPECT_NE(key(first), key(again));
}

TEST(FleetRepeats, ExitsWithoutAnIdDifferByTime) {
  knell_event first = exit_for_test(7);
  first.id = {};
  knell_event second = first;
  second.mono_ns += 1;
  EXPECT_NE(key(first), key(second));
}

TEST(FleetRepeats, KeepsTheNewestKeys) {
  Repeats repeats(3);
  EXPECT_TRUE(repeats.is_new("a"));
  EXPECT_FALSE(repeats.is_new("a"));
  EXPECT_TRUE(repeats.is_new("b"));
  EXPECT_TRUE(repeats.is_new("c"));
  EXPECT_TRUE(repeats.is_new("d"));  // evicts a
  EXPECT_EQ(repeats.size(), 3u);
  EXPECT_FALSE(repeats.is_new("b"));
  EXPECT_TRUE(repeats.is_new("a"));
  EXPECT_TRUE(repeats.is_new("b"));
}

}  // namespace
}  // namespace knell::fleet
