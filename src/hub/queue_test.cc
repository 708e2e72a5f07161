// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/queue.h"

#include <gtest/gtest.h>

#include <string>

namespace knell::hub {
namespace {

constexpr size_t kBytes = 100 - Queue::kItemBytes;  // an item is charged for 100 bytes

struct Fixture {
  explicit Fixture(size_t bound) : queue(bound) {}
  Queue::Push push(uint64_t stamp_ns, bool tight = false) {
    return queue.push_event(event, stamp_ns, tight);
  }
  void fill(int count) {
    for (int i = 0; i < count; ++i) push(static_cast<uint64_t>(i));
  }
  ByteStore store;
  SharedBytes event = store.copy(std::string(kBytes, 'e'));
  Queue queue;
};

TEST(Queue, DropsEventsAboveItsBound) {
  Fixture on(1000);
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(on.push(i), Queue::Push::kQueued);
  EXPECT_EQ(on.push(10), Queue::Push::kDropped);
  EXPECT_EQ(on.queue.bytes(), 1000u);
  EXPECT_EQ(on.queue.delivered(), 10u);
  EXPECT_EQ(on.queue.lost(), 1u);
}

TEST(Queue, AHoleStaysOpenUntilHalfIsRead) {
  Fixture on(1000);
  on.fill(10);
  for (uint64_t i = 10; i < 17; ++i) on.push(i);
  on.queue.pop(4);
  EXPECT_FALSE(on.queue.hole_due(false));
  EXPECT_EQ(on.push(17), Queue::Push::kDropped);  // there is room, but the order must be kept
  on.queue.pop(1);
  ASSERT_TRUE(on.queue.hole_due(false));
  EXPECT_EQ(on.queue.hole().count, 8u);
  EXPECT_EQ(on.queue.hole().from_ns, 10u);
  EXPECT_EQ(on.queue.hole().until_ns, 17u);
  EXPECT_TRUE(on.queue.hole().exact);
  on.queue.push_lost(on.event);
  EXPECT_FALSE(on.queue.hole_due(false));
  EXPECT_EQ(on.push(18), Queue::Push::kQueued);
  EXPECT_EQ(on.queue.size(), 7u);
  EXPECT_TRUE(on.queue[5].hole);
  EXPECT_FALSE(on.queue[6].hole);
}

TEST(Queue, PushLostWithoutBytesClosesTheHole) {
  Fixture on(1000);
  on.fill(11);
  on.queue.pop(10);
  on.queue.push_lost(SharedBytes());
  EXPECT_TRUE(on.queue.empty());
  EXPECT_EQ(on.push(20), Queue::Push::kQueued);
}

// Otherwise LOST events, larger than the events they replace, would fill the queue.
TEST(Queue, WhileMemoryIsTightLostWaitsForRoom) {
  Fixture on(1 << 20);
  while (on.push(1, true) == Queue::Push::kQueued) {
  }
  EXPECT_EQ(on.queue.bytes() / 1000, 65u);
  EXPECT_FALSE(on.queue.hole_due(true));
  EXPECT_TRUE(on.queue.hole_due(false));
}

TEST(Queue, ADroppedLostEventAddsItsCountToTheHole) {
  Fixture on(100);
  on.push(1);
  on.push(2);
  EXPECT_EQ(on.queue.push_event(on.event, 3, false, 40), Queue::Push::kDropped);
  EXPECT_EQ(on.queue.hole().count, 41u);
  EXPECT_FALSE(on.queue.hole().exact);
}

TEST(Queue, ShedMovesEventsIntoTheHoleAndKeepsAnswers) {
  Fixture on(1000);
  on.push(5);
  on.queue.push_answer(on.store.copy("answer"));
  on.fill(6);
  EXPECT_EQ(on.queue.shed(), 7u);
  EXPECT_EQ(on.queue.size(), 1u);
  EXPECT_EQ(on.queue[0].bytes.view(), "answer");
  EXPECT_EQ(on.queue.bytes(), on.queue.answer_bytes());
  EXPECT_EQ(on.queue.hole().count, 7u);
  EXPECT_EQ(on.queue.delivered(), 0u);
  EXPECT_EQ(on.queue.lost(), 7u);
}

TEST(Queue, AHoleOfShedEventsBeginsWithTheFirstEventAfterAnAnswer) {
  Fixture on(1000);
  on.queue.push_answer(on.store.copy("answer"));
  on.push(5);
  on.push(6);
  on.queue.shed();
  EXPECT_EQ(on.queue.hole().from_ns, 5u);
  EXPECT_EQ(on.queue.hole().until_ns, 6u);
  on.queue.push_lost(on.event);
  on.push(7);
  on.queue.shed();
  EXPECT_EQ(on.queue.hole().from_ns, 5u);
}

// Events of an earlier hole are not counted again.
TEST(Queue, ShedKeepsTheCountOfAnEarlierHole) {
  Fixture on(1000);
  on.fill(13);
  on.queue.pop(5);
  on.queue.push_lost(on.event);
  EXPECT_EQ(on.queue.shed(), 5u);
  EXPECT_EQ(on.queue.hole().count, 5u + 3u);
  EXPECT_EQ(on.queue.lost(), 5u + 3u);
  EXPECT_TRUE(on.queue.hole().exact);
}

TEST(Queue, AnswersAreNeverDroppedAndAreCounted) {
  Fixture on(0);
  on.queue.push_answer(on.store.copy("12345678"));
  EXPECT_EQ(on.queue.answer_bytes(), 8 + Queue::kItemBytes);
  EXPECT_EQ(on.queue.bytes(), on.queue.answer_bytes());
  on.queue.pop(1);
  EXPECT_EQ(on.queue.answer_bytes(), 0u);
  EXPECT_EQ(on.queue.bytes(), 0u);
}

}  // namespace
}  // namespace knell::hub
