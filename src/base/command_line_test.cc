// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/command_line.h"

#include <gtest/gtest.h>

namespace knell {
namespace {

using Kind = CommandLine::Error::Kind;
using Words = std::vector<std::string>;

struct Typed {
  explicit Typed(const Words& words) {
    line.add_help("this text");
    line.add_flag("-a,--any", any, "until one is over");
    line.add_value("-o,--output", output, "FORMAT", "table or json");
    line.add_optional_value("--check", check);
    line.add_values("--by", by, "KEY,...", "what to count by", "Counting");
    line.add_words("PID", pids, "the processes");
    parsed = line.parse(words);
  }

  CommandLine line{"knell test"};
  bool any = false;
  std::string output, check;
  Words by, pids;
  std::expected<CommandLine::Parsed, CommandLine::Error> parsed;
};

TEST(CommandLine, FillsTheVariables) {
  const Typed typed({"-a", "7", "--by", "comm", "--output=json", "--by", "unit", "8", "--check"});
  ASSERT_TRUE(typed.parsed);
  EXPECT_TRUE(typed.any);
  EXPECT_EQ(typed.output, "json");
  EXPECT_EQ(typed.by, (Words{"comm", "unit"}));
  EXPECT_EQ(typed.pids, (Words{"7", "8"}));
  EXPECT_EQ(typed.check, "");
  EXPECT_TRUE(typed.line.given("--check"));
  EXPECT_FALSE(Typed({}).line.given("--check"));
  EXPECT_EQ(Typed({"--check", "file"}).check, "file");
  EXPECT_EQ(Typed({"-o", "table", "-o", "json"}).output, "json");
  EXPECT_EQ(Typed({"-o", ""}).line.option_with_empty_value(), "--output");
  EXPECT_EQ(Typed({"-o", "x"}).line.option_with_empty_value(), "");
}

TEST(CommandLine, ReportsTheKindAndSubjectOfAnError) {
  const auto error = [](const Words& words) { return Typed(words).parsed.error(); };
  EXPECT_EQ(error({"--output"}).kind, Kind::kMissingValue);
  EXPECT_EQ(error({"--output"}).subject, "--output");
  EXPECT_EQ(error({"--any=5"}).kind, Kind::kUnwantedValue);
  EXPECT_EQ(error({"--any=5"}).subject, "--any");
  EXPECT_EQ(error({"--bogus"}).kind, Kind::kUnexpectedWord);
  EXPECT_EQ(error({"--bogus"}).subject, "--bogus");
}

TEST(CommandLine, KnowsItsOptions) {
  const Typed typed({"--help", "--bogus"});
  EXPECT_EQ(typed.parsed, CommandLine::Parsed::kHelp);
  EXPECT_TRUE(typed.line.has("--output"));
  EXPECT_FALSE(typed.line.has("--bogus"));
  EXPECT_TRUE(typed.line.has_words());
  EXPECT_TRUE(typed.line.takes_value("-o"));
  EXPECT_FALSE(typed.line.takes_value("-a"));
  EXPECT_FALSE(typed.line.takes_value("--bogus"));
  const std::string text = typed.line.options_text();
  EXPECT_TRUE(text.starts_with("Options:")) << text;
  EXPECT_NE(text.find("-o,--output FORMAT"), std::string::npos) << text;
  EXPECT_NE(text.find("Counting:"), std::string::npos) << text;
}

}  // namespace
}  // namespace knell
