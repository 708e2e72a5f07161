// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/listener_count.h"

#include <gtest/gtest.h>

namespace knell::source {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(SilenceDetector, ReportsThreeTimesWithinAMinute) {
  SilenceDetector history;
  EXPECT_FALSE(history.note(100 * kSecond));
  EXPECT_FALSE(history.note(110 * kSecond));
  EXPECT_TRUE(history.note(160 * kSecond));
}

TEST(SilenceDetector, IgnoresTimesThatAreFarApart) {
  SilenceDetector history;
  for (uint64_t now = 100; now < 1000; now += 31) EXPECT_FALSE(history.note(now * kSecond)) << now;
}

TEST(SilenceDetector, CountsFromZeroAfterAReport) {
  SilenceDetector history;
  for (const bool repeated : {false, false, true, false, false, true}) {
    EXPECT_EQ(history.note(100 * kSecond), repeated);
  }
}

}  // namespace
}  // namespace knell::source
