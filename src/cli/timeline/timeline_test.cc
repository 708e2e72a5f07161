// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>

#include "base/json_value.h"
#include "cli/timeline/history_for_test.h"
#include "cli/timeline/protobuf_writer.h"

namespace knell::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kMs = 1'000'000;

// What a process may put into its name or its arguments to get out of the page.
constexpr std::array<std::string_view, 14> kHostile = {
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></svg><svg onload=alert(1)>",
    "javascript:alert(1)",
    "&lt;b&gt;&#60;",
    "\\u003cscript>",
    "a\nb\r\tc\x1b[31m\x7f",
    "\xff\xfe\x80 not UTF-8",
    "\xe2\x80\xa8line\xe2\x80\xa9 paragraph",
    "\xef\xbf\xbe\xef\xbf\xbf \xf0\x9f\x92\xa5",
};

HistoryForTest& build(HistoryForTest& test) {
  test.start(1, 0).exec(1, 1, "make", std::string("make\0", 5));
  test.fork(1, 2, kMs).exec(2, kMs + 1, "gcc", std::string("gcc\0-c\0a.c\0", 11));
  test.fork(2, 3, 2 * kMs).exec(3, 2 * kMs + 1, "cc1", std::string("cc1\0a.c\0", 8));
  test.exit(3, 30 * kMs, 256).exit(2, 31 * kMs, 256);
  test.fork(1, 4, 31 * kMs).exec(4, 31 * kMs, "gen", std::string("gen\0", 4));
  test.exit_oom(4, 40 * kMs).exit(1, 50 * kMs, 512);
  test.finish();
  return test;
}

HistoryForTest& hostile(HistoryForTest& test) {
  test.start(1, 0);
  pid_t pid = 2;
  for (const std::string_view text : kHostile) {
    const auto at = static_cast<uint64_t>(pid) * kMs;
    test.fork(1, pid, at)
        .exec(pid, at + 1, std::string(text), std::string(text) + '\0' + "x" + '\0');
    test.exit(pid, at + kMs, 256);
    ++pid;
  }
  test.exit(1, static_cast<uint64_t>(pid) * kMs, 0).finish();
  return test;
}

std::string write(const Timeline& timeline, Format format, size_t bars = 0) {
  std::string out;
  BufferedWriter writer([&](std::string_view bytes) -> Outcome<void> {
    out += bytes;
    return {};
  });
  EXPECT_TRUE(write_timeline(timeline, format, bars, writer));
  return out;
}

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

JsonValue data_of(const std::string& page) {
  constexpr std::string_view kBegin = "id=\"data\">";
  const size_t begin = page.find(kBegin) + kBegin.size();
  const auto json = parse_json_object(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_TRUE(json);
  return json.value_or(JsonValue());
}

TEST(Timeline, SaysWhatEndedHow) {
  HistoryForTest test;
  const Timeline timeline(build(test).history, "make", "");
  EXPECT_EQ(timeline.ancestors(2), " <- gcc <- make");
  EXPECT_EQ(timeline.ended(2), "exit 1");
  EXPECT_EQ(timeline.life_text(2), "0.02s");
  EXPECT_THAT(timeline.failures(), ElementsAre(2, 1, 3, 0));
  EXPECT_EQ(timeline.facts(nullptr), "0.05s, 4 processes, 4 failed, 0 lost");
  EXPECT_EQ(timeline.longest_steps(1).front().process, 2U);
}

TEST(Timeline, SaysThatALifeIsNotKnownInFull) {
  HistoryForTest test;
  test.start(1, 0).fork(1, 2, kMs).finish(1000 * kMs);
  const Timeline timeline(test.history, "", "");
  EXPECT_EQ(timeline.ended(1), "still running");
  EXPECT_EQ(timeline.life_text(1), "more than 0.99s");
  EXPECT_EQ(timeline.life_ns(1), std::nullopt);
}

TEST(TimelineHtml, HasTheBarsAsJson) {
  HistoryForTest test;
  const Timeline timeline(build(test).history, "make", "via bpf");
  const std::string page = write(timeline, Format::kHtml);
  const auto json = data_of(page);
  EXPECT_EQ(json["title"].text(), "make");
  EXPECT_EQ(json["span"].count(), 50'000U);
  for (const std::string_view column :
       {"start", "end", "lane", "parent", "kind", "count", "failed", "chain", "life", "before",
        "pid", "name", "label", "ended", "cause", "command"})
    EXPECT_EQ(json["bars"][column].items().size(), 4U) << column;
  const auto value = [&](std::string_view column, size_t bar) {
    return json["bars"][column].items().at(bar)->count();
  };
  const auto text = [&](std::string_view column, size_t bar) {
    return json["texts"].items().at(value(column, bar))->text();
  };
  EXPECT_EQ(value("start", 2), 2'000U);
  EXPECT_EQ(value("end", 2), 30'000U);
  EXPECT_EQ(value("parent", 2), 1U);
  EXPECT_EQ(value("kind", 3), 5U);  // out of memory
  EXPECT_EQ(text("command", 2), "cc1 a.c");
  EXPECT_EQ(text("label", 1), "gcc -c a.c");
  const auto failures = json["failures"].items();
  ASSERT_EQ(failures.size(), 4U);
  EXPECT_EQ((*failures.front())["bar"].count(), 2U);
}

TEST(TimelineHtml, NothingThatAProcessSaysIsMarkup) {
  HistoryForTest test;
  const Timeline timeline(hostile(test).history, std::string(kHostile[1]),
                          std::string(kHostile[4]));
  HistoryForTest empty;
  empty.finish();
  const std::string page = write(timeline, Format::kHtml);
  const std::string none = write(Timeline(empty.history, "", ""), Format::kHtml);
  for (const std::string_view part : {"<", "</script", "<!--", "<img", "<script"})
    EXPECT_EQ(count(page, part), count(none, part)) << part;
  const auto json = data_of(page);
  EXPECT_EQ(json["title"].text(), kHostile[1]);
  bool found = false;
  for (const JsonValue* text : json["texts"].items())
    found = found || text->text() == "'" + std::string(kHostile[1]) + "' x";
  EXPECT_TRUE(found);
}

TEST(TimelineHtml, LoadsNothing) {
  HistoryForTest test;
  const std::string page = write(Timeline(build(test).history, "", ""), Format::kHtml);
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  for (const std::string_view part : {"http:", "https:", " src=", "@import", "url(", "unsafe-"})
    EXPECT_THAT(page, Not(HasSubstr(part)));
}

TEST(TimelineHtml, MergesAndSaysSo) {
  HistoryForTest test;
  test.start(1, 0);
  for (pid_t i = 0; i < 3000; ++i) test.fork(1, 10 + i, 5000).exit(10 + i, 6000, 0);
  test.exit(1, 9'000'000, 0).finish();
  const Timeline timeline(test.history, "", "");
  const auto json = data_of(write(timeline, Format::kHtml, 10));
  EXPECT_LE(json["bars"]["start"].items().size(), 12U);
  EXPECT_THAT(json["facts"].text(), HasSubstr("short processes are merged"));
}

TEST(TimelineSvg, HasFailuresLinkedToTheirBars) {
  HistoryForTest test;
  const std::string svg = write(Timeline(build(test).history, "make", "via bpf"), Format::kSvg);
  EXPECT_EQ(count(svg, "<a href=\"#b2\">"), 2U);  // a failure, and on the chain
  EXPECT_THAT(svg, HasSubstr("✗ exit 1 · 0.02s · cc1 a.c &lt;- gcc &lt;- make</text>"));
  EXPECT_THAT(svg, HasSubstr("id=\"b2\" class=\"failure\""));
  EXPECT_THAT(svg, HasSubstr("✗ SIGKILL oom, out of memory"));
  EXPECT_EQ(count(svg, "class=\"mark\""), 4U);
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
}

TEST(TimelineSvg, NothingThatAProcessSaysIsMarkup) {
  HistoryForTest test;
  const std::string svg =
      write(Timeline(hostile(test).history, std::string(kHostile[6]), ""), Format::kSvg);
  for (const std::string_view part : {"<script", "<img", "<b>", "onload=alert(1)>", "\x1b", "\xff",
                                      "\xef\xbf\xbe", "\xef\xbf\xbf"})
    EXPECT_THAT(svg, Not(HasSubstr(part)));
  EXPECT_EQ(count(svg, "</svg"), 1U);
}

TEST(TimelineSvg, EdgesThatAreNotKnownAreDotted) {
  HistoryForTest test;
  test.start(1, 100).fork(1, 2, 200).exit(2, 300, 0).fork(9, 3, 400).finish();
  const std::string svg = write(Timeline(test.history, "", ""), Format::kSvg);
  EXPECT_EQ(count(svg, "class=\"open\""), 4U);  // the ends of 1, 9 and 3, the start of 9
}

TEST(TimelineSvg, OfNothingIsAPicture) {
  HistoryForTest test;
  test.finish();
  EXPECT_THAT(write(Timeline(test.history, "", ""), Format::kSvg), HasSubstr("</svg>"));
}

TEST(ProtobufWriter, WritesTheBytesOfTheSpecification) {
  ProtobufWriter message;
  message.number(1, 150).bytes(2, "testing");
  EXPECT_EQ(message.bytes(), "\x08\x96\x01\x12\x07testing");
  ProtobufWriter outer;
  outer.message(58, ProtobufWriter().number(1, UINT64_MAX));
  EXPECT_EQ(outer.bytes(), "\xd2\x03\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

}  // namespace
}  // namespace knell::cli
