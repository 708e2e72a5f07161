// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/time_point.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace knell {
namespace {

constexpr int64_t kSecond = 1'000'000'000, kHour = 3600 * kSecond, kDay = 24 * kHour;
constexpr int64_t kNow = 1'795'965'845'500'000'000;     // 2026-11-29 15:24:05.5 UTC
constexpr int64_t kMidnight = 1'795'910'400 * kSecond;  // 2026-11-29 00:00 UTC

class TimePoint : public ::testing::Test {
 protected:
  TimePoint() { set_zone("UTC"); }
  ~TimePoint() override { set_zone("UTC"); }
  static void set_zone(const char* zone) {
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  static int64_t parse(std::string_view text) {
    const auto ns = parse_time(text, kNow);
    return ns ? *ns : -1;
  }
};

TEST_F(TimePoint, LengthsOfTime) {
  EXPECT_EQ(parse("1h"), kNow - kHour);
  EXPECT_EQ(parse("1h30m ago"), kNow - kHour * 3 / 2);
  EXPECT_EQ(parse("-2d"), kNow - 2 * kDay);
  EXPECT_EQ(parse("+5m"), kNow + 300 * kSecond);
}

TEST_F(TimePoint, Names) {
  EXPECT_EQ(parse("now"), kNow);
  EXPECT_EQ(parse("today"), kMidnight);
  EXPECT_EQ(parse("yesterday"), kMidnight - kDay);
  EXPECT_EQ(parse("tomorrow"), kMidnight + kDay);
}

TEST_F(TimePoint, DatesAndTimes) {
  EXPECT_EQ(parse("2026-11-29"), kMidnight);
  EXPECT_EQ(parse("06:00"), kMidnight + 6 * kHour);
  EXPECT_EQ(parse("2026-11-23 06:00"), kMidnight - 6 * kDay + 6 * kHour);
  EXPECT_EQ(parse(" 2026-11-23  06:00:01 "), kMidnight - 6 * kDay + 6 * kHour + kSecond);
  EXPECT_EQ(parse("06:00:30.25"), kMidnight + 6 * kHour + 30 * kSecond + 250'000'000);
  EXPECT_EQ(parse("@1795910400"), kMidnight);
  EXPECT_EQ(parse("@1795910400.5"), kMidnight + kSecond / 2);
}

// As JSON writes it.
TEST_F(TimePoint, Rfc3339) {
  set_zone("America/New_York");
  EXPECT_EQ(parse("2026-11-29T15:24:05.500000000Z"), kNow);
  EXPECT_EQ(parse("2026-11-29T17:24:05.5+02:00"), kNow);
  EXPECT_EQ(parse("2026-11-29 10:24:05.5 -0500"), kNow);
  EXPECT_EQ(parse("2026-11-29 15:24:05.5 UTC"), kNow);
}

TEST_F(TimePoint, LocalTime) {
  set_zone("America/New_York");  // UTC-5 in November
  EXPECT_EQ(parse("today"), kMidnight + 5 * kHour);
  EXPECT_EQ(parse("2026-11-29"), kMidnight + 5 * kHour);
  EXPECT_EQ(parse("2026-07-01 12:00"), parse("2026-07-01 16:00 UTC"));  // UTC-4
}

TEST_F(TimePoint, Errors) {
  for (const char* text :
       {"", "5", "1.5", "soon", "2026-13-01", "2026-02-30", "2026-11-29 25:00", "06:60", "6:00x",
        "@", "@x", "2026-11-2906:00", "2026-11-29T", "2026-11-29 06:00 CET", "1h30", "-", "+"})
    EXPECT_EQ(parse(text), -1) << text;
  EXPECT_EQ(parse_time("soon", kNow).error().message().find("'soon' is not a time"), 0U);
}

}  // namespace
}  // namespace knell
