// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/numbering.h"

#include <gtest/gtest.h>

#include <array>

#include "event/cn_message.h"

namespace knell::server {
namespace {

uint32_t numbered(Numbering& numbering, uint32_t cpu, uint32_t seq) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXEC;
  raw.cpu = cpu;
  raw.seq = seq;
  auto datagram = event::encode(raw);
  numbering.number(datagram);
  const auto read = event::decode(datagram);
  EXPECT_TRUE(read && read->cpu == cpu);
  return read ? read->seq : UINT32_MAX;
}

TEST(Numbering, NumbersEachCpuFromZero) {
  Numbering numbering;
  EXPECT_EQ(numbered(numbering, 0, 70), 0);
  EXPECT_EQ(numbered(numbering, 3, 9), 0);
  EXPECT_EQ(numbered(numbering, 0, 99), 1);
  EXPECT_EQ(numbered(numbering, 3, 10), 1);
  EXPECT_EQ(numbered(numbering, 0, 100), 2);
}

TEST(Numbering, SkipsTheNumbersOfLostEvents) {
  Numbering numbering;
  EXPECT_EQ(numbered(numbering, 0, 1), 0);
  numbering.lost(5);
  EXPECT_EQ(numbered(numbering, 0, 2), 6);
  numbering.lost(5);
  EXPECT_EQ(numbered(numbering, 0, 3), 7);
  numbering.lost(6);
  EXPECT_EQ(numbered(numbering, 0, 4), 9);
}

TEST(Numbering, DoesNotChangeOtherMessages) {
  Numbering numbering;
  std::array<std::byte, 44> overrun{};
  numbering.number(overrun);
  EXPECT_EQ(overrun, (std::array<std::byte, 44>{}));
  EXPECT_EQ(numbered(numbering, 0, 1), 0);
}

}  // namespace
}  // namespace knell::server
