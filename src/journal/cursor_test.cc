// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/cursor.h"

#include <gtest/gtest.h>

namespace knell::journal {
namespace {

TEST(Cursor, IsTextAndBack) {
  const Cursor cursor{.journal = "0f8fad5b-d9cb-469f-a165-70867728950e", .seq = INT64_MAX};
  const std::string text = text_of(cursor);
  EXPECT_EQ(text, "k1:0f8fad5b-d9cb-469f-a165-70867728950e:9223372036854775807");
  EXPECT_LE(text.size(), kMostCursorBytes);
  EXPECT_EQ(parse_cursor(text), cursor);
}

TEST(Cursor, RefusesOtherText) {
  for (const char* text :
       {"", "k1:", "k1:0f8fad5b-d9cb-469f-a165-70867728950e", "k1:x:1",
        "k2:0f8fad5b-d9cb-469f-a165-70867728950e:1",
        "k1:0f8fad5b-d9cb-469f-a165-70867728950e:", "k1:0f8fad5b-d9cb-469f-a165-70867728950e:-1",
        "k1:0f8fad5b-d9cb-469f-a165-70867728950e:9223372036854775808",
        "k1:0f8fad5b-d9cb-469f-a165-70867728950e:1x"})
    EXPECT_FALSE(parse_cursor(text)) << text;
}

}  // namespace
}  // namespace knell::journal
