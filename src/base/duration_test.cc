// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/duration.h"

#include <gtest/gtest.h>

namespace knell {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST(Duration, FormatsTheTwoLargestUnits) {
  EXPECT_EQ(duration_text(0ns), "0s");
  EXPECT_EQ(duration_text(-5s), "0s");
  EXPECT_EQ(duration_text(999ns), "999ns");
  EXPECT_EQ(duration_text(350us), "350us");
  EXPECT_EQ(duration_text(2ms), "2ms");
  EXPECT_EQ(duration_text(999'999us), "999ms");
  EXPECT_EQ(duration_text(41s), "41s");
  EXPECT_EQ(duration_text(41s + 999ms), "41s");
  EXPECT_EQ(duration_text(60s), "1m");
  EXPECT_EQ(duration_text(12min + 5s), "12m5s");
  EXPECT_EQ(duration_text(3h + 12min + 59s), "3h12m");
  EXPECT_EQ(duration_text(3h + 59s), "3h");
  EXPECT_EQ(duration_text(144h), "6d");
  EXPECT_EQ(duration_text(149h), "6d5h");
  EXPECT_EQ(duration_text(nanoseconds::max()), "106751d23h");
}

TEST(Duration, FormatsSecondsForAReport) {
  EXPECT_EQ(seconds_text(0s), "0.00s");
  EXPECT_EQ(seconds_text(319ms), "0.31s");
  EXPECT_EQ(seconds_text(9999ms), "9.99s");
  EXPECT_EQ(seconds_text(12480ms), "12.4s");
  EXPECT_EQ(seconds_text(192s), "3m12s");
  EXPECT_EQ(seconds_text(-1s), "0.00s");
}

TEST(Duration, Parses) {
  EXPECT_EQ(parse_duration("10ms").value(), 10ms);
  EXPECT_EQ(parse_duration("5s").value(), 5s);
  EXPECT_EQ(parse_duration("1h30m").value(), 90min);
  EXPECT_EQ(parse_duration("1h 30min").value(), 90min);
  EXPECT_EQ(parse_duration(" 2d ").value(), 48h);
  EXPECT_EQ(parse_duration("1w").value(), 168h);
  EXPECT_EQ(parse_duration("3").value(), 3s);
  EXPECT_EQ(parse_duration("0").value(), 0ns);
  EXPECT_EQ(parse_duration("1.5").value(), 1500ms);
  EXPECT_EQ(parse_duration("0.25ms").value(), 250us);
  EXPECT_EQ(parse_duration("7us").value(), 7us);
  EXPECT_EQ(parse_duration("7\xc2\xb5s").value(), 7us);
  EXPECT_EQ(parse_duration("1.0000000009999s").value(), 1s);
  EXPECT_EQ(parse_duration("9223372036854775807ns").value(), nanoseconds::max());
}

TEST(Duration, ParsesWhatItFormats) {
  for (const nanoseconds d : {nanoseconds(0), nanoseconds(999), nanoseconds(350us),
                              nanoseconds(2ms), nanoseconds(725s), nanoseconds(149h)}) {
    EXPECT_EQ(parse_duration(duration_text(d)).value(), d) << duration_text(d);
  }
}

TEST(Duration, RefusesMalformedText) {
  for (const char* text : {"",
                           " ",
                           "s",
                           "-5s",
                           "+5s",
                           "5x",
                           "5 5",
                           "5s5",
                           "1.",
                           ".5",
                           "1..5s",
                           "1.5.2",
                           "1h30",
                           "9223372036854775808ns",
                           "18446744073709551615w",
                           "99999999999999999999s",
                           "300y",
                           "1e3",
                           "0x10",
                           "inf",
                           "292y",
                           "15251w"}) {
    const auto result = parse_duration(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, EINVAL);
    EXPECT_TRUE(result.error().sentence);
  }
  EXPECT_EQ(parse_duration("5x").error().context,
            "'5x' is not a duration: there is no unit 'x' (ns, us, ms, s, m, h, d, w)");
}

}  // namespace
}  // namespace knell
