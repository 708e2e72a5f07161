// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace knell::event {
namespace {

using std::string_view;

TEST(Printable, KeepsText) {
  for (const string_view text :
       {"", "grep -q x", "a\\b", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa7", "\"quoted\""}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesOtherBytes) {
  EXPECT_EQ(printable("a\xff"), "a\\xff");
  EXPECT_EQ(printable("\xc3"), "\\xc3");    // cut short
  EXPECT_EQ(printable("\xc3("), "\\xc3(");  // only the first byte is escaped
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");  // overlong
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf");
}

TEST(Printable, EscapesTerminalControls) {
  EXPECT_EQ(printable("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(printable(string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("a\nb\tc\x7f"), "a\\x0ab\\x09c\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b2J");                                // C1 CSI
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  EXPECT_EQ(printable("\xe2\x81\xa6"), "\\xe2\\x81\\xa6");  // isolate
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");  // line separator
  // a no-break space, a dash: both unchanged
  EXPECT_EQ(printable("\xc2\xa0\xe2\x80\x93"), "\xc2\xa0\xe2\x80\x93");
}

TEST(Printable, EveryTwoBytesAreSafe) {
  for (int i = 0; i < 0x10000; i++) {
    const std::string bytes{static_cast<char>(i >> 8), static_cast<char>(i)};
    const std::string kept = printable(bytes);
    for (string_view out = kept; !out.empty();) {
      const size_t length = utf8_length(out);
      ASSERT_NE(length, 0u) << i;
      ASSERT_FALSE(controls_terminal(out.substr(0, length))) << i;
      out.remove_prefix(length);
    }
  }
}

}  // namespace
}  // namespace knell::event
