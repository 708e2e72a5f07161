// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/csv.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <ctime>

#include "cli/event_for_test.h"
#include "cli/format.h"

namespace knell::cli {
namespace {

using namespace std::string_literals;

std::vector<Field> columns(std::string_view list) {
  auto parsed = parse_columns(list);
  EXPECT_TRUE(parsed) << parsed.error().line;
  return parsed.value_or(std::vector<Field>());
}

std::string row(std::string_view list, const knell_event& event) {
  std::string out;
  CsvView(columns(list)).add(event, out);
  return out;
}

TEST(Csv, BeginsWithTheNamesOfTheColumns) {
  std::string out;
  CsvView(columns("pid,exit_code")).begin(out);
  CsvView({}).begin(out);
  EXPECT_EQ(out,
            "pid,exit_code\n"
            "time,type,pid,ppid,parent,user,unit,age,ended,exit_code,signal,killer,comm,command\n");
}

TEST(Csv, HasValuesForPrograms) {
  EventForTest grep;
  grep.exit(0x100).process(7889, 7000).comm("grep").user("root").unit("cron.service");
  grep.lasted(2'000'000).args("grep\0-q\0no such\0"s);
  grep.event.time_ns = 1'767'226'321'412'000'000;
  EXPECT_EQ(
      row("time,type,pid,ppid,user,unit,age,ended,exit_code,signal,killer,command", grep),
      "2026-01-01T00:12:01.412000000Z,exit,7889,7000,root,cron.service,0.002000000,exit 1,1,,,"
      "grep -q 'no such'\n");
}

TEST(Csv, UnknownValuesAreEmpty) {
  EventForTest event;
  event.event.type = KNELL_EVENT_EXIT;
  EXPECT_EQ(row("ppid,parent,user,uid,unit,age,exit_code,signal,killer,comm,exe,cwd,tty,id", event),
            ",,,,,,,,,,,,,\n");
}

TEST(Csv, TheTimeOfALossIsUtc) {
  ::setenv("TZ", "UTC-2", 1);
  ::tzset();
  EventForTest event;
  event.event.type = KNELL_EVENT_LOST;
  event.event.lost_from_time_ns = 1'767'226'321'412'000'000;
  EXPECT_EQ(row("type,ended", event),
            "lost,lost an unknown number of events since 2026-01-01T00:12:01.412000000Z\n");
  ::setenv("TZ", "UTC", 1);
  ::tzset();
}

TEST(Csv, SignalsHaveNoExitCode) {
  EventForTest killed;
  killed.exit(SIGKILL | 0x80).process(5, 1).killed_by(8103, 0, "bash");
  EXPECT_EQ(row("ended,exit_code,signal,killer", killed),
            "SIGKILL core,,SIGKILL,kill by 8103 bash (root)\n");
}

TEST(Csv, QuotesWhatWouldEndAValue) {
  EventForTest event;
  event.comm("a,b\"c\nd");
  EXPECT_EQ(row("comm,type", event), "\"$'a,b\"\"c\\x0ad'\",exit\n");
}

TEST(Csv, LostEventsAreRows) {
  EventForTest lost;
  lost.event.type = KNELL_EVENT_LOST;
  lost.event.has |= KNELL_HAS_COUNT;
  lost.event.lost_count = 12;
  EXPECT_TRUE(row("type,pid,ended", lost).starts_with("lost,,lost at most 12 events"))
      << row("type,pid,ended", lost);
}

TEST(Columns, RefusesUnknownAndRepeatedNames) {
  EXPECT_EQ(parse_columns("time,pid,endde").error().line,
            "-o: unknown column 'endde'; did you mean ended?");
  EXPECT_TRUE(
      parse_columns("zzzzzzzz")
          .error()
          .line.starts_with("-o: unknown column 'zzzzzzzz'; columns are time, type, pid, "));
  EXPECT_EQ(parse_columns("pid,pid").error().line, "-o: the column pid is given twice");
  EXPECT_FALSE(parse_columns(""));
  EXPECT_FALSE(parse_columns("pid,"));
}

TEST(Format, EveryCommandHasItsOwn) {
  using enum Format;
  EXPECT_EQ(parse_format("", {kSvg, kHtml}), kSvg);
  EXPECT_EQ(parse_format("html", {kSvg, kHtml}), kHtml);
  EXPECT_EQ(parse_format("csv", {kTable, kJson, kPrometheus}).error().line,
            "-o takes table, json or prometheus, not 'csv'");
}

TEST(Format, OfEventsMayChooseColumns) {
  EXPECT_EQ(parse_output("")->format, Format::kTable);
  EXPECT_EQ(parse_output("csv")->format, Format::kCsv);
  EXPECT_EQ(parse_output("table=pid,command")->columns,
            (std::vector<Field>{Field::kPid, Field::kCommand}));
  EXPECT_FALSE(parse_output("json=pid"));
  EXPECT_FALSE(parse_output("table="));
  EXPECT_FALSE(parse_output("xml=pid"));
}

TEST(Format, CsvAlwaysHasAColumnForLostEvents) {
  EXPECT_EQ(parse_output("csv=pid,comm").error().line,
            "-o csv=... needs the column type or ended, which shows lost events");
  EXPECT_TRUE(parse_output("csv=pid,ended"));
}

}  // namespace
}  // namespace knell::cli
