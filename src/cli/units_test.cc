// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/units.h"

#include <gtest/gtest.h>

namespace knell::cli {
namespace {

using namespace std::chrono_literals;

TEST(Units, ReadsNumbersWithinBounds) {
  EXPECT_EQ(parse_number("1", 1, 10), 1);
  EXPECT_EQ(parse_number("10", 1, 10), 10);
  for (const char* text : {"", "0", "11", "1 ", " 1", "+1", "1a", "99999999999999999999"}) {
    EXPECT_EQ(parse_number(text, 1, 10), std::nullopt) << text;
  }
}

TEST(Units, WritesSeconds) {
  EXPECT_EQ(seconds_text(0s), "0.00s");
  EXPECT_EQ(seconds_text(319ms), "0.31s");
  EXPECT_EQ(seconds_text(9999ms), "9.99s");
  EXPECT_EQ(seconds_text(12480ms), "12.4s");
  EXPECT_EQ(seconds_text(192s), "3m12s");
  EXPECT_EQ(seconds_text(-1s), "0.00s");
}

}  // namespace
}  // namespace knell::cli
