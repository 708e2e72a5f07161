// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/frame/rapidjson.h"

namespace knell::bench {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr Metric kMs{"ms", "time ms", 1};
constexpr Metric kLost{"lost", "lost", 0, true};

Report sample(size_t rounds) {
  Report report;
  for (size_t i = 1; i <= rounds; ++i) {
    report.add("exits", "knell", kMs, static_cast<double>(i));
    report.add("exits", "knell", kLost, 2);
  }
  report.absent("extrace", "not installed");
  report.note("a \"note\"");
  return report;
}

TEST(Report, AShortRunShowsItsRangeAndSaysThatItIsNoInterval) {
  const std::string text = sample(3).to_text();
  EXPECT_THAT(text, HasSubstr("2.0 [1.0, 3.0]*"));
  EXPECT_THAT(text, HasSubstr("fewer than 6 rounds"));
}

TEST(Report, SixRoundsGiveAnInterval) {
  const std::string text = sample(6).to_text();
  EXPECT_THAT(text, HasSubstr("3.5 [1.0, 6.0]"));
  EXPECT_THAT(text, Not(HasSubstr("*")));
}

TEST(Report, LossesAreSummed) { EXPECT_THAT(sample(6).to_text(), HasSubstr("12\n")); }

TEST(Report, TheAbsentAreNamed) {
  EXPECT_THAT(sample(1).to_text(), HasSubstr("absent: extrace: not installed\n"));
}

TEST(Report, APartialResultSaysSo) {
  Report report = sample(1);
  report.set_partial();
  EXPECT_THAT(report.to_text(), HasSubstr("interrupted: a partial result"));
}

TEST(Report, LinesStandWhereTheyWereExpected) {
  Report report;
  report.expect("exits", "naive");
  report.expect("exits", "knell");
  report.add("exits", "knell", kMs, 1);
  report.add("exits", "naive", kMs, 2);
  const std::string text = report.to_text();
  EXPECT_LT(text.find("naive"), text.find("knell"));
}

TEST(Report, APooledFigureIsTheLastOne) {
  constexpr Metric kWorst{.name = "max", .title = "max", .is_pooled = true};
  Report report;
  report.add("exits", "knell", kWorst, 7);
  report.add("exits", "knell", kWorst, 9);
  EXPECT_THAT(report.to_text(), AllOf(HasSubstr("9\n"), Not(HasSubstr("7")), Not(HasSubstr("["))));
  EXPECT_THAT(report.to_json("\"case\":\"latency\""), HasSubstr("\"pooled\":9"));
}

TEST(Report, WhatWasNotReachedIsAtLeast) {
  Report report = sample(6);
  report.at_least("exits", "knell", kMs);
  EXPECT_THAT(report.to_text(), HasSubstr(">= 3.5 [1.0, 6.0]"));
}

// (RapidJSON's Document does not compile with clang 19; tests/cli/bench.t reads it with jq.)
TEST(Report, JsonKeepsEveryRound) {
  const std::string text = sample(6).to_json("\"case\":\"table\"");
  rapidjson::BaseReaderHandler<> ignore;
  rapidjson::Reader reader;
  rapidjson::StringStream stream(text.c_str());
  EXPECT_TRUE(reader.Parse(stream, ignore)) << text;
  for (const char* part :
       {R"("case":"table")", R"("partial":false)", R"("metric":"ms")", R"("median":3.5)",
        R"("low":1.0)", R"("interval_is_95":true)", R"("sum":12.0)", R"(a \"note\")",
        R"("who":"extrace")", R"("rounds":[1.0,2.0,3.0,4.0,5.0,6.0])"})
    EXPECT_THAT(text, HasSubstr(part));
}

}  // namespace
}  // namespace knell::bench
