// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/numbers.h"

#include <gtest/gtest.h>

namespace knell {
namespace {

TEST(Number, IsParsedWithinBounds) {
  EXPECT_EQ(parse_number("1", 1, 10), 1);
  EXPECT_EQ(parse_number("10", 1, 10), 10);
  for (const char* text : {"", "0", "11", "1 ", " 1", "+1", "1a", "99999999999999999999"}) {
    EXPECT_EQ(parse_number(text, 1, 10), std::nullopt) << text;
  }
}

TEST(Size, Parses) {
  EXPECT_EQ(parse_size("65536"), 65536u);
  EXPECT_EQ(parse_size("64K"), 65536u);
  EXPECT_EQ(parse_size("16M"), 16u << 20);
  EXPECT_EQ(parse_size("16MiB"), 16u << 20);
  EXPECT_EQ(parse_size("1g"), 1u << 30);
  for (const char* text :
       {"", "K", "-1", "1.5M", "1T", "16Mx", "16MiBs", "99999999999999999999", "99999999999999G"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Size, FormatsExactly) {
  EXPECT_EQ(size_text(0), "0");
  EXPECT_EQ(size_text(1000), "1000");
  EXPECT_EQ(size_text(1536 << 10), "1536K");
  EXPECT_EQ(size_text(4 << 20), "4M");
  EXPECT_EQ(size_text(uint64_t{1} << 60), "1E");
}

}  // namespace
}  // namespace knell
