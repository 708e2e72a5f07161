// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/sequence_numbers.h"

#include <gtest/gtest.h>

#include <array>

#include "event/cn_message.h"

namespace knell::server {
namespace {

uint32_t numbered(SequenceNumbers& numbers, uint32_t cpu, uint32_t seq) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXEC;
  raw.cpu = cpu;
  raw.seq = seq;
  auto datagram = event::encode(raw);
  numbers.assign(datagram);
  const auto read = event::decode(datagram);
  EXPECT_TRUE(read && read->cpu == cpu);
  return read ? read->seq : UINT32_MAX;
}

TEST(SequenceNumbers, NumbersEachCpuFromZero) {
  SequenceNumbers numbers;
  EXPECT_EQ(numbered(numbers, 0, 70), 0);
  EXPECT_EQ(numbered(numbers, 3, 9), 0);
  EXPECT_EQ(numbered(numbers, 0, 99), 1);
  EXPECT_EQ(numbered(numbers, 3, 10), 1);
  EXPECT_EQ(numbered(numbers, 0, 100), 2);
}

TEST(SequenceNumbers, SkipsTheNumbersOfLostEvents) {
  SequenceNumbers numbers;
  EXPECT_EQ(numbered(numbers, 0, 1), 0);
  numbers.skip_lost(5);
  EXPECT_EQ(numbered(numbers, 0, 2), 6);
  numbers.skip_lost(5);
  EXPECT_EQ(numbered(numbers, 0, 3), 7);
  numbers.skip_lost(6);
  EXPECT_EQ(numbered(numbers, 0, 4), 9);
}

TEST(SequenceNumbers, DoesNotChangeOtherMessages) {
  SequenceNumbers numbers;
  std::array<std::byte, 44> overrun{};
  numbers.assign(overrun);
  EXPECT_EQ(overrun, (std::array<std::byte, 44>{}));
  EXPECT_EQ(numbered(numbers, 0, 1), 0);
}

}  // namespace
}  // namespace knell::server
