// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/summary.h"

#include <gtest/gtest.h>

#include <string>

#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

EventForTest lost(uint64_t count, uint32_t flags) {
  EventForTest event;
  event.event.type = KNELL_EVENT_LOST;
  event.event.has = KNELL_HAS_COUNT;
  event.event.lost_count = count;
  event.event.flags = flags;
  return event;
}

TEST(Summary, ShowsTheMostFrequentFirstAndSignalsBeforeExits) {
  Summary summary;
  EXPECT_EQ(summary.text(), " 0 shown, 0 lost");
  EventForTest exit;
  exit.exit(0x100).comm("grep");
  EventForTest killed;
  killed.exit(9).comm("java").unit("orders.service");
  EventForTest crashed;
  crashed.exit(11).comm("php");
  for (const EventForTest* e : {&exit, &killed, &crashed}) summary.add(*e);
  EXPECT_EQ(summary.text(),
            " 3 shown, 0 lost; most: SIGKILL orders 1, SIGSEGV php 1, exit 1 grep 1");
  summary.add(exit);
  EXPECT_EQ(summary.text(),
            " 4 shown, 0 lost; most: exit 1 grep 2, SIGKILL orders 1, SIGSEGV php 1");
}

TEST(Summary, CountsRecoveredEvents) {
  Summary summary;
  EventForTest exit;
  exit.exit(0x100).comm("grep");
  exit.event.flags = KNELL_FLAG_RECOVERED;
  summary.add(exit);
  summary.add(lost(12, KNELL_FLAG_EXACT));
  EXPECT_EQ(summary.text(), " 1 shown, 1 of these recovered, 12 lost; most: exit 1 grep 1");
}

TEST(Summary, IsBounded) {
  Summary summary;
  EventForTest event;
  for (int i = 0; i < 20'000; ++i) {
    event.exit(0x100).comm("c" + std::to_string(i));
    summary.add(event);
  }
  EXPECT_EQ(summary.shown(), 20'000u);
}

TEST(Losses, TextSaysHowExactTheCountIs) {
  Losses losses;
  EXPECT_FALSE(losses.any());
  EXPECT_EQ(losses.text(), "0 lost");
  losses.add(lost(12, KNELL_FLAG_EXACT));
  EXPECT_EQ(losses.text(), "12 lost");
  losses.add(lost(3, 0));
  EXPECT_EQ(losses.text(), "at most 15 lost");
  EventForTest unknown;
  unknown.event.type = KNELL_EVENT_LOST;
  losses.add(unknown);
  EXPECT_EQ(losses.text(), "at least 15 lost");
  Losses nothing_known;
  nothing_known.add(unknown);
  EXPECT_TRUE(nothing_known.any());
  EXPECT_EQ(nothing_known.text(), "an unknown number lost");
}

}  // namespace
}  // namespace knell::cli
