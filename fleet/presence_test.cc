// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/presence.h"

#include <gtest/gtest.h>

namespace knell::fleet {
namespace {

TEST(FleetPresence, IsWrittenAndRead) {
  const Presence presence{"db1",
                          "i",
                          "m",
                          "b",
                          "0.2.0",
                          "a \"state\"",
                          "nonzero-exit",
                          "unit=cron",
                          "me: no\nyou: never\n",
                          "j",
                          50,
                          40,
                          900,
                          12,
                          3,
                          33,
                          2500,
                          44,
                          1'795'402'321'412,
                          5000};
  const auto read = parse_presence(presence_json(presence));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, presence);
}

TEST(FleetPresence, RefusesWhatIsInvalid) {
  EXPECT_FALSE(parse_presence("{}"));
  EXPECT_FALSE(parse_presence(R"({"host":"a.b","interval_ms":5})"));
  EXPECT_FALSE(parse_presence(R"({"host":"a","interval_ms":0})"));
  EXPECT_FALSE(parse_presence(std::string(20'000, ' ') + R"({"host":"a","interval_ms":5})"));
  EXPECT_TRUE(parse_presence(R"({"host":"a","interval_ms":5})"));
}

TEST(FleetPresence, HasTheRefusalOfAnOwner) {
  Presence presence;
  EXPECT_EQ(refusal_of(presence, "me"), "");
  presence.refused = "notme: a\nme: b: c\nother: d\n";
  EXPECT_EQ(refusal_of(presence, "notme"), "a");
  EXPECT_EQ(refusal_of(presence, "me"), "b: c");
  EXPECT_EQ(refusal_of(presence, "othe"), "");
}

TEST(FleetPresence, SilentAfterTwoAndAHalfIntervals) {
  Presence presence;
  presence.interval_ms = 1000;
  EXPECT_FALSE(is_silent(presence, std::chrono::milliseconds(2500)));
  EXPECT_TRUE(is_silent(presence, std::chrono::milliseconds(2501)));
}

}  // namespace
}  // namespace knell::fleet
