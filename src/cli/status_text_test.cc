// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace knell::cli {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kStatus = R"({
  "version":"0.1.0","pid":812,"started":"2026-11-23T21:13:24Z","uptime_s":11520.5,
  "kernel":"Linux 6.18.1 x86_64","sources":[
    {"name":"connector","used":true,"why":"events of processes","types":"exit","buffer_bytes":1048576,
     "received":186,"lost":null,"repairs":1},
    {"name":"connector","used":true,"why":"events of threads","types":"exit","buffer_bytes":1048576,
     "received":14,"lost":5,"lost_by_types":[{"types":"fork","lost":2},{"types":"exit","lost":3}],
     "recovered":1,"repairs":0},
    {"name":"bpf","used":false,"why":"no capability","types":"none","buffer_bytes":0,"received":0,
     "lost":0,"repairs":0}],
  "drains":62,"wakeups":70,"events":200,"events_per_second":1.26,"delivered":124,"lost":3,
  "withheld":{"unknown_uid":4,"unknown_namespace":5},"clients":3,
  "listeners":[
    {"id":1,"pid":5,"uid":0,"user":"root","comm":"few\u001b[31m","protocol":"native",
     "scope":"everything","mask":"exit","predicates":null,"level":"raw","details":"full",
     "latency_ms":10.0,"delivered":1,"lost":0,"queued":0,"queued_bytes":0,"since":"x"},
    {"id":2,"pid":6,"uid":4294900000,"user":null,"comm":"many","protocol":"compat",
     "scope":"uid 1000","mask":"nonzero-exit","predicates":"unit=cron.service","level":"raw",
     "details":"status","latency_ms":1.0,"delivered":123,"lost":3,"queued":2,"queued_bytes":2048,
     "since":"x"},
    {"id":3,"pid":7,"uid":0,"user":null,"comm":"asking","protocol":"native","scope":"everything",
     "mask":"none"}],
  "users":[],"limits":{"memory_bytes":268435456},
  "memory":{"queue_bytes":2048,"rss_bytes":36814848},
  "exits":[{"unit":"a\"b\\c\nd.service","ended":"SIGKILL oom","count":2},
           {"unit":null,"ended":"exit 1","count":1}],
  "journal":{"path":"/var/lib/knell/journal.db","state":"failing","problem":"disk is full",
   "id":"x","mask":"nonzero-exit","written":20,"lost_queue":4,"lost_disk":5,"commits":2,
   "bytes":2097152,"queued_bytes":0,"oldest_seq":11,"next_seq":31,"oldest":"2026-11-01T00:00:00Z"},
  "nonzero_exits":3})";

std::string table(const std::string& json, const Screen& screen = Screen()) {
  const auto status = parse_json_object(json);
  EXPECT_TRUE(status);
  std::string out;
  append_status_table(out, status.value_or(JsonValue()), screen);
  return out;
}

std::string prometheus(const std::string& json, Codes codes = Codes::kNo) {
  const auto status = parse_json_object(json);
  EXPECT_TRUE(status);
  std::string out;
  append_prometheus(out, status.value_or(JsonValue()), codes);
  return out;
}

TEST(StatusTable, ShowsTheDaemonAndItsSources) {
  const std::string out = table(kStatus);
  EXPECT_THAT(out, HasSubstr("knelld 0.1.0, up 3h12m, pid 812, Linux 6.18.1 x86_64\n"));
  EXPECT_THAT(out, HasSubstr("via connector (events of processes): exit; 186 received, some lost, "
                             "repaired 1 times; buffer 1.0M\n"));
  EXPECT_THAT(out, HasSubstr("14 received, 5 lost (fork 2; exit 3), 1 recovered; buffer 1.0M\n"));
  EXPECT_THAT(out, HasSubstr("not used: bpf: no capability\n"));
  EXPECT_THAT(out, HasSubstr("200 events, 1.3 a second; 124 delivered, 3 lost by slow listeners"));
  EXPECT_THAT(out, HasSubstr("withheld: 4 events of unknown users, 5 of unknown pid namespaces"));
  EXPECT_THAT(out, HasSubstr("queues 2.0K of 256M; resident memory 35M"));
  EXPECT_THAT(out,
              HasSubstr("3 non-zero exits; most: SIGKILL oom a\"b\\c\\x0ad.service 2, exit 1 1"));
}

TEST(StatusTable, ShowsTheJournal) {
  EXPECT_THAT(
      table(kStatus),
      HasSubstr("\njournal /var/lib/knell/journal.db: failing: disk is full; 20 events since "
                "2026-11-01T00:00:00Z, 2.0M; 4 lost by a full queue, 5 by the disk\n"));
  EXPECT_THAT(table("{\"journal\":null}"), Not(HasSubstr("journal")));
}

TEST(StatusTable, ListenersWithMostDeliveredEventsComeFirst) {
  const std::string out = table(kStatus);
  EXPECT_LT(out.find("many"), out.find("few"));
  EXPECT_THAT(out, ContainsRegex("\nID +PID +USER +COMMAND"));
  EXPECT_THAT(out, ContainsRegex("2 +6 +4294900000 +many +compat +nonzero-exit +123 +3 +2.0K +uid "
                                 "1000 +unit=cron.service\n"));
  EXPECT_THAT(out, Not(HasSubstr("asking")));  // has no subscription
}

TEST(StatusTable, EscapesControlBytes) {
  EXPECT_THAT(table(kStatus), AllOf(Not(HasSubstr("\x1b")), HasSubstr("few\\x1b[31m")));
}

TEST(StatusTable, FitsTheTerminal) {
  Screen screen;
  screen.columns = 40;
  std::istringstream lines(table(kStatus, screen));
  bool listeners = false;
  for (std::string line; std::getline(lines, line);) {
    listeners = listeners || line.starts_with("ID");
    if (!listeners) continue;
    EXPECT_LE(line.size(), 40u + 2) << line;  // `…` has three bytes
  }
  EXPECT_TRUE(listeners);
}

TEST(StatusTable, MissingMembersAreNoError) {
  EXPECT_THAT(table("{}"), AllOf(HasSubstr("knelld "), HasSubstr("no listeners")));
  EXPECT_THAT(table(R"({"listeners":7,"sources":[1],"uptime_s":"x","memory":[]})"),
              HasSubstr("no listeners"));
}

TEST(Prometheus, EachMetricHasItsHelpAndTypeOnce) {
  std::istringstream lines(prometheus(kStatus));
  std::set<std::string> series, helped, typed;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      EXPECT_TRUE(helped.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(typed.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
    } else {
      EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
      EXPECT_TRUE(typed.contains(line.substr(0, line.find_first_of("{ ")))) << line;
    }
  }
  EXPECT_EQ(helped, typed);
}

TEST(Prometheus, HasTheCounts) {
  const std::string out = prometheus(kStatus);
  EXPECT_THAT(out, HasSubstr("\nknell_source_received_total{source=\"connector\"} 200\n"));
  EXPECT_THAT(out, HasSubstr("\nknell_lost_total 3\n"));
  EXPECT_THAT(out, HasSubstr("\nknell_listeners{protocol=\"compat\"} 1\n"));
  EXPECT_THAT(out, HasSubstr("\nknell_listeners{protocol=\"native\"} 1\n"));
  EXPECT_THAT(out, HasSubstr("\nknell_withheld_total{reason=\"unknown_uid\"} 4\n"));
  EXPECT_THAT(out, HasSubstr("\nknell_exits_total{unit=\"\",ended=\"exit nonzero\"} 1\n"));
}

TEST(Prometheus, HasTheJournal) {
  EXPECT_THAT(prometheus(kStatus),
              AllOf(HasSubstr("\nknell_journal_working 0\n"),
                    HasSubstr("\nknell_journal_written_total 20\n"),
                    HasSubstr("\nknell_journal_lost_total{reason=\"disk\"} 5\n"),
                    HasSubstr("\nknell_journal_bytes 2097152\n")));
  EXPECT_THAT(prometheus("{\"journal\":null}"), Not(HasSubstr("knell_journal")));
}

TEST(Prometheus, LabelsAreEscaped) {
  EXPECT_THAT(prometheus(kStatus),
              HasSubstr(R"(knell_exits_total{unit="a\"b\\c\nd.service",ended="oom"} 2)"));
}

TEST(Prometheus, HasClassesOfExitsAndCodesOnRequest) {
  const std::string status = R"({"exits":[
      {"unit":"a","ended":"exit 1","count":5},{"unit":"a","ended":"exit 2","count":4},
      {"unit":"a","ended":"SIGKILL","count":3},{"unit":"a","ended":"SIGTERM","count":3},
      {"unit":"a","ended":"SIGSEGV core","count":2},{"unit":"a","ended":"SIGKILL oom","count":1},
      {"unit":"a","ended":"exit 0","count":9},{"unit":"a","ended":"unknown","count":7}]})";
  const std::string classes = prometheus(status);
  for (const char* line :
       {"exit nonzero\"} 9", "signal\"} 6", "core\"} 2", "oom\"} 1", "exit 0\"} 9", "unknown\"} 7"})
    EXPECT_THAT(classes, HasSubstr("knell_exits_total{unit=\"a\",ended=\"" + std::string(line)));
  const std::string codes = prometheus(status, Codes::kYes);
  for (const char* line : {"exit 1\"} 5", "exit 2\"} 4", "SIGTERM\"} 3", "SIGSEGV core\"} 2"})
    EXPECT_THAT(codes, HasSubstr("knell_exits_total{unit=\"a\",ended=\"" + std::string(line)));
}

TEST(Prometheus, HasCommAndContainerWhereTheyAreCounted) {
  EXPECT_THAT(
      prometheus(
          R"({"exits":[{"unit":null,"ended":"exit 1","comm":"sh","container":"f00","count":5}]})"),
      HasSubstr(R"(knell_exits_total{unit="",ended="exit nonzero",comm="sh",container="f00"} 5)"));
}

TEST(StatusJson, RefusesTextThatIsNoObject) {
  for (const char* text : {"", "7", "[]", "{", "{} x", "\xff"})
    EXPECT_FALSE(parse_json_object(text)) << text;
  EXPECT_FALSE(parse_json_object(std::string(1'000'000, '[')));
}

}  // namespace
}  // namespace knell::cli
