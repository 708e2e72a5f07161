// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/outbox.h"

#include <gtest/gtest.h>

namespace knell::fleet {
namespace {

using std::chrono::nanoseconds;

EventBatch batch(uint64_t first, size_t bytes = 10, uint32_t shard = 0) {
  return {shard,
          "knell.ev.0.h.exit.nz",
          first,
          first + 9,
          10,
          0,
          std::string(bytes, 'x'),
          std::to_string(first + 9)};
}

TEST(FleetOutbox, AckedFollowsSentAfterTheHold) {
  Outbox outbox({.hold = nanoseconds(100)});
  EXPECT_EQ(outbox.next(), nullptr);
  outbox.push(batch(1));
  outbox.push(batch(11));
  ASSERT_NE(outbox.next(), nullptr);
  EXPECT_EQ(outbox.next()->first, 1u);
  outbox.stored(1, false, 1000);
  EXPECT_EQ(outbox.sent(), 10u);
  EXPECT_EQ(outbox.next()->first, 11u);
  EXPECT_EQ(outbox.release(1099), std::nullopt);
  EXPECT_EQ(outbox.acked(), 0u);
  EXPECT_EQ(outbox.release(1100), "10");
  EXPECT_EQ(outbox.acked(), 10u);
  outbox.stored(2, false, 1200);
  EXPECT_EQ(outbox.next(), nullptr);
  EXPECT_EQ(outbox.release(1300), "20");
  EXPECT_EQ(outbox.acked(), 20u);
}

TEST(FleetOutbox, NeverAcksWhatWaits) {
  Outbox outbox({.hold = nanoseconds(0)});
  outbox.push(batch(1));
  EXPECT_EQ(outbox.release(1'000'000), std::nullopt);
  EXPECT_EQ(outbox.acked(), 0u);
}

TEST(FleetOutbox, ResendsTheSameBatchesFromAcked) {
  Outbox outbox({.hold = nanoseconds(100)});
  for (uint64_t first = 1; first <= 41; first += 10) outbox.push(batch(first));
  outbox.stored(1, false, 1000);
  outbox.stored(2, false, 2000);
  outbox.stored(3, false, 2000);
  EXPECT_EQ(outbox.release(1100), "10");  // `hold` of the first batch has passed
  outbox.resend();
  EXPECT_EQ(outbox.resends(), 1u);
  EXPECT_EQ(outbox.waiting(), 4u);
  for (uint64_t first = 11; first <= 41; first += 10) {
    ASSERT_NE(outbox.next(), nullptr);
    EXPECT_EQ(outbox.next()->first, first);
    EXPECT_EQ(outbox.next()->payload, std::string(10, 'x'));
    outbox.stored(first, true, 3000);
  }
  EXPECT_EQ(outbox.next(), nullptr);
  // A batch that is sent again is kept for another hold.
  EXPECT_EQ(outbox.release(2500), std::nullopt);
  EXPECT_EQ(outbox.release(3100), "50");
  EXPECT_EQ(outbox.acked(), 50u);
}

TEST(FleetOutbox, ResendsWhenTheStreamWentBack) {
  Outbox outbox({.hold = nanoseconds(100)});
  for (uint64_t first = 1; first <= 31; first += 10) outbox.push(batch(first));
  outbox.stored(101, false, 1000);
  outbox.stored(102, false, 1000);
  outbox.stored(50, true, 1000);  // a repeat has the number of its first copy
  EXPECT_EQ(outbox.waiting(), 1u);
  outbox.stored(102, false, 1000);  // number 102 was used before: the server lost messages
  EXPECT_EQ(outbox.waiting(), 4u);
  EXPECT_EQ(outbox.next()->first, 1u);
  outbox.stored(103, false, 1000);
  outbox.stored(104, false, 1000);
  EXPECT_EQ(outbox.waiting(), 2u);
}

TEST(FleetOutbox, AnotherShardHasNumbersOfItsOwn) {
  Outbox outbox({.hold = nanoseconds(100)});
  outbox.push(batch(1, 10, 0));
  outbox.push(batch(11, 10, 3));
  outbox.push(batch(21, 10, 3));
  outbox.stored(101, false, 1000);
  outbox.stored(7, false, 1000);  // in another stream
  EXPECT_EQ(outbox.resends(), 0u);
  outbox.stored(7, false, 1000);  // that stream went back in time
  EXPECT_EQ(outbox.resends(), 1u);
}

TEST(FleetOutbox, IsBounded) {
  Outbox outbox({.bytes = 10'000, .hold = nanoseconds(1'000'000)});
  for (uint64_t first = 1; outbox.has_room(); first += 10) outbox.push(batch(first, 1000));
  EXPECT_LE(outbox.waiting(), 10u);
  EXPECT_EQ(outbox.released_early(), 0u);
  const uint64_t full = outbox.waiting();
  for (uint64_t i = 0; i < full; ++i) outbox.stored(i + 1, false, 10);
  EXPECT_TRUE(outbox.has_room());
  // Sent batches are released to make room for new ones, oldest first.
  outbox.push(batch(1001, 1000));
  EXPECT_GE(outbox.released_early(), 1u);
  EXPECT_GE(outbox.acked(), 10u);
  EXPECT_EQ(outbox.release(11), std::to_string(outbox.acked()));
  outbox.resend();
  EXPECT_GT(outbox.next()->first, outbox.acked());
}

TEST(FleetOutbox, KeepsAtMostSoManyEvents) {
  Outbox outbox({.events = 25, .hold = nanoseconds(1'000'000)});
  for (uint64_t first = 1; first <= 31; first += 10) outbox.push(batch(first));
  EXPECT_EQ(outbox.release(0), std::nullopt);  // nothing was sent
  outbox.stored(1, false, 0);
  outbox.stored(2, true, 0);
  EXPECT_EQ(outbox.release(0), "20");
  outbox.stored(3, false, 0);
  EXPECT_EQ(outbox.release(0), std::nullopt);  // 20 events are left
}

TEST(FleetOutbox, DropsOnlyWhatCannotBeSent) {
  Outbox outbox({.hold = nanoseconds(0)});
  outbox.push(batch(1));
  outbox.push(batch(11));
  outbox.stored(1, false, 0);
  outbox.drop();
  EXPECT_EQ(outbox.next(), nullptr);
  EXPECT_EQ(outbox.release(0), "10");
  EXPECT_EQ(outbox.acked(), 10u);
}

}  // namespace
}  // namespace knell::fleet
