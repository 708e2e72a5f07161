// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/output.h"

#include <gtest/gtest.h>

#include "source/output_for_test.h"

namespace knell::source {
namespace {

class Picky : public KeptOutput {
 public:
  using KeptOutput::KeptOutput;
  bool wants(Slot& slot, const filter::Ancestry&) override { return slot.event.pid != 13; }
};

class OutputTest : public ::testing::Test {
 protected:
  OutputTest() {
    clock.epoch_ns = 5'000'000'000;
    kept.out.begin_drain();
  }
  void add(int32_t pid, uint64_t stamp_ns) {
    Slot* slot = kept.out.begin(KNELL_EVENT_EXEC, KNELL_VIA_BPF, pid, pid, stamp_ns);
    ASSERT_NE(slot, nullptr);
    EXPECT_EQ(kept.out.commit(*slot, filter::NoAncestry()), pid != 13);
  }
  FakeClock clock;
  Picky kept{256, clock, 1};
};

TEST_F(OutputTest, KeepsTheEventsThatTheSinkWants) {
  add(12, 100);
  add(13, 101);
  add(14, 102);
  EXPECT_EQ(kept.batch.size(), 2U) << "the place of the other is free again";
  kept.take();
  ASSERT_EQ(kept.events.size(), 2U);
  EXPECT_TRUE(kept.events[0].is(KNELL_EVENT_EXEC, 12));
  EXPECT_TRUE(kept.events[1].is(KNELL_EVENT_EXEC, 14));
  EXPECT_EQ(kept.events[1].event.mono_ns, 102U);
  EXPECT_EQ(kept.events[1].event.time_ns, 5'000'000'102);
}

TEST_F(OutputTest, BuildsNoEventOfATypeThatIsNotWanted) {
  kept.shown = KNELL_EVENT_NONZERO_EXIT;
  EXPECT_EQ(kept.out.begin(KNELL_EVENT_EXEC, KNELL_VIA_BPF, 12, 12, 100), nullptr);
  kept.out.add_hole({}, KNELL_VIA_BPF, true);
  EXPECT_EQ(kept.batch.size(), 0U);
  EXPECT_NE(kept.out.reserve_exit(), nullptr) << "a failure is an exit";
  kept.shown = KNELL_EVENT_EXEC;
  EXPECT_EQ(kept.out.reserve_exit(), nullptr);
}

TEST_F(OutputTest, AnExitDecidedLaterHasItsReservedPlace) {
  Slot* decided = kept.out.reserve_exit();
  Slot* undecided = kept.out.reserve_exit();
  Slot* unwanted = kept.out.reserve_exit();
  ASSERT_TRUE(decided != nullptr && undecided != nullptr && unwanted != nullptr);
  add(12, 100);
  kept.out.begin_exit(*decided, KNELL_VIA_CONNECTOR, 50, 50, 99);
  kept.out.commit_reserved(*decided, filter::NoAncestry());
  kept.out.begin_exit(*unwanted, KNELL_VIA_CONNECTOR, 13, 13, 99);
  kept.out.commit_reserved(*unwanted, filter::NoAncestry());
  kept.take();
  ASSERT_EQ(kept.events.size(), 2U);
  EXPECT_TRUE(kept.events[0].is(KNELL_EVENT_EXIT, 50));
  EXPECT_TRUE(kept.events[1].is(KNELL_EVENT_EXEC, 12));
}

TEST_F(OutputTest, AHoleIsALostEvent) {
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = 200;
  hole.u.lost.from_ns = 100;
  hole.u.lost.types = KNELL_EVENT_FORK;
  kept.out.add_hole(hole, KNELL_VIA_CONNECTOR, true);
  hole.u.lost.counted = hole.u.lost.exact = true;
  hole.u.lost.count = 7;
  kept.out.add_hole(hole, KNELL_VIA_CONNECTOR, false);
  kept.out.add_hole(hole, KNELL_VIA_CONNECTOR, true);
  kept.take();
  ASSERT_EQ(kept.events.size(), 3U);
  const knell_event& uncounted = kept.events[0].event;
  EXPECT_EQ(uncounted.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_EQ(uncounted.has & KNELL_HAS_COUNT, 0U);
  EXPECT_EQ(uncounted.flags & KNELL_FLAG_EXACT, 0U);
  EXPECT_EQ(uncounted.lost_types, static_cast<uint32_t>(KNELL_EVENT_FORK));
  EXPECT_EQ(uncounted.mono_ns, 200U);
  EXPECT_EQ(uncounted.lost_from_ns, 100U);
  EXPECT_EQ(uncounted.lost_until_ns, 200U);
  EXPECT_EQ(uncounted.lost_from_time_ns, 5'000'000'100);
  EXPECT_EQ(uncounted.lost_until_time_ns, 5'000'000'200);
  for (const size_t i : {1U, 2U}) {
    EXPECT_NE(kept.events[i].event.has & KNELL_HAS_COUNT, 0U);
    EXPECT_EQ(kept.events[i].event.lost_count, 7U);
  }
  EXPECT_EQ(kept.events[1].event.flags & KNELL_FLAG_EXACT, 0U) << "not a count of such events";
  EXPECT_NE(kept.events[2].event.flags & KNELL_FLAG_EXACT, 0U);
}

TEST_F(OutputTest, ItsBoundLeavesRoomForTwoEventsEachAndSomeMore) {
  EXPECT_EQ(kept.out.bound(), (256 - Output::kSpareSlots) / 2);
  for (int32_t i = 0; i < 192; ++i) add(100 + i, 100);
  EXPECT_EQ(kept.out.bound(), 0U);
}

}  // namespace
}  // namespace knell::source
