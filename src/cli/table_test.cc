// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <sstream>

#include "cli/event_for_test.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using namespace std::string_literals;

// The width of the widest line of `shown`.
size_t widest_line(const std::string& shown) {
  size_t widest = 0;
  std::istringstream lines(shown);
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, display_width(line));
  return widest;
}

std::string without_line_breaks(std::string text) {
  std::string out;
  std::istringstream words(text);
  for (std::string word; words >> word;) out += out.empty() ? word : " " + word;
  return out;
}

class TableTest : public testing::Test {
 protected:
  TableTest() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    grep_.exit(0x100)
        .process(7889, 7000)
        .comm("grep")
        .parent_comm("bash")
        .user("root")
        .unit("cron.service");
    grep_.lasted(2'000'000).args("grep\0-q\0nosuch\0/etc/passwd\0"s);
    grep_.event.time_ns = 1'767'226'321'412'000'000;
    killed_.exit(SIGKILL).process(8091, 1).comm("postgres").parent_comm("systemd");
    killed_.user("postgres").unit("postgresql@15.service").lasted(11'520'000'000'000);
    killed_.killed_by(8103, 0, "bash");
    killed_.event.time_ns = grep_.event.time_ns;
  }
  static Screen terminal(size_t columns, bool colour = false) {
    return {true, colour, columns, 24};
  }
  static std::string line(const Screen& screen, const knell_event& event,
                          uint32_t mask = KNELL_EVENT_EXIT) {
    std::string out;
    Table(mask, false, screen).add(event, out);
    return out;
  }
  static std::string header(const Screen& screen, uint32_t mask, bool threads = false) {
    std::string out;
    Table(mask, threads, screen).begin(out);
    return out;
  }
  EventForTest grep_;
  EventForTest killed_;
};

TEST_F(TableTest, ShowsTheChosenColumns) {
  using enum Field;
  std::string out;
  Table table(KNELL_EVENT_EXIT, false, {}, {kTime, kPid, kEnded, kKiller, kCommand});
  table.begin(out);
  table.add(killed_, out);
  table.add(grep_, out);
  EXPECT_EQ(out,
            "TIME          PID      ENDED         KILLER                        COMMAND\n"
            "00:12:01.412  8091     SIGKILL       kill by 8103 bash (root)      [postgres]\n"
            "00:12:01.412  7889     exit 1        -                             "
            "grep -q nosuch /etc/passwd\n");
}

TEST_F(TableTest, ChosenColumnsAreCutAtTheEdge) {
  std::string out;
  Table(KNELL_EVENT_EXIT, false, terminal(20), {Field::kPid, Field::kCommand}).add(grep_, out);
  EXPECT_EQ(out, "7889     grep -q no…\n");
}

TEST_F(TableTest, ShowsTheColumnsOfTheDesign) {
  EXPECT_EQ(header({}, KNELL_EVENT_NONZERO_EXIT),
            "TIME          PID      PARENT        USER        UNIT              AGE     ENDED      "
            "   COMMAND\n");
  EXPECT_EQ(
      line({}, grep_),
      "00:12:01.412  7889     bash          root        cron              2ms     exit 1        "
      "grep -q nosuch /etc/passwd\n");
}

TEST_F(TableTest, CallsItEventWhenOtherTypesMayCome) {
  EXPECT_NE(header({}, KNELL_EVENT_EXIT | KNELL_EVENT_EXEC).find("EVENT"), std::string::npos);
  EXPECT_EQ(header({}, KNELL_EVENT_EXIT).find("EVENT"), std::string::npos);
  EXPECT_NE(header({}, KNELL_EVENT_ALL, true).find(" TID "), std::string::npos);
}

TEST_F(TableTest, CutsNothingWhereThereIsNoTerminal) {
  const std::string longest(100'000, 'x');
  grep_.args(longest + '\0');
  EXPECT_NE(line({}, grep_).find(longest), std::string::npos);
}

TEST_F(TableTest, IsNeverWiderThanTheWindow) {
  grep_.args("grep\0日本語日本語日本語\0"s + std::string(5000, 'x') + "\0"s)
      .unit(std::string(200, 'u'));
  grep_.parent_comm("a-long-name-15b").user(std::string(40, 'n'));
  EventForTest lost;
  lost.event.type = KNELL_EVENT_LOST;
  for (size_t columns = 1; columns < 200; ++columns) {
    for (const uint32_t mask : {KNELL_EVENT_EXIT, KNELL_EVENT_ALL}) {
      for (const knell_event& event : {grep_.event, killed_.event, lost.event}) {
        const std::string shown = line(terminal(columns), event, mask);
        ASSERT_EQ(shown.back(), '\n');
        EXPECT_LE(widest_line(shown), columns) << shown;
      }
      const std::string head = header(terminal(columns), mask);
      EXPECT_LE(display_width(head) - 1, columns) << head;
    }
  }
}

TEST_F(TableTest, PutsTheCauseBeforeTheCommand) {
  killed_.args("postgres\0-D\0/var/lib/postgresql\0"s);
  EXPECT_EQ(line({}, killed_),
            "00:12:01.412  8091     systemd       postgres    postgresql@15     3h12m   SIGKILL    "
            "   <- kill by 8103 bash (root)  postgres -D /var/lib/postgresql\n");
  EXPECT_EQ(line(terminal(80), killed_),
            "00:12:01  8091     postgres  postgresq…  SIGKILL  <- kill by 8103 bash (root)\n"
            "  postgres -D /var/lib/postgresql\n");
  EXPECT_EQ(line(terminal(114), killed_),
            "00:12:01  8091     systemd   postgres  postgresq…  3h12m   SIGKILL      "
            "<- kill by 8103 bash (root)  postgres -D …\n");
  EXPECT_EQ(line(terminal(110), killed_),
            "00:12:01  8091     systemd   postgres  postgresq…  3h12m   SIGKILL  "
            "<- kill by 8103 bash (root)  postgres -D …\n");
}

TEST_F(TableTest, NeverCutsTheCause) {
  killed_.args(std::string(500, 'x') + '\0');
  for (const char* comm : {"sh", "a-long-name-15b", "日本語日本"}) {
    killed_.killed_by(4'194'303, 4'294'967'294, comm);
    const std::string cause = "<- kill by 4194303 "s + comm + " (uid 4294967294)";
    for (size_t columns = 24; columns < 200; ++columns) {
      const std::string shown = line(terminal(columns), killed_);
      EXPECT_NE(without_line_breaks(shown).find("SIGKILL"), std::string::npos) << shown;
      EXPECT_NE(without_line_breaks(shown).find(cause), std::string::npos) << shown;
      EXPECT_LE(widest_line(shown), columns) << shown;
    }
  }
}

TEST_F(TableTest, PutsACauseThatDoesNotFitBelowWithTheCommand) {
  killed_.killed_by(1'234'567, 1000, "a-long-name-15b")
      .args(
          "sleep\0"
          "99\0"s);
  EXPECT_EQ(line(terminal(80), killed_),
            "00:12:01  8091     postgres  postgresq…  SIGKILL\n"
            "  <- kill by 1234567 a-long-name-15b (uid 1000)  sleep 99\n");
  EXPECT_EQ(line(terminal(40), killed_),
            "8091     SIGKILL\n"
            "  <- kill by 1234567 a-long-name-15b\n"
            "  (uid 1000)  sleep 99\n");
}

TEST_F(TableTest, LeavesOutUserAndUnitLast) {
  const auto titles = [](size_t columns) {
    return without_line_breaks(header(terminal(columns), KNELL_EVENT_EXIT));
  };
  EXPECT_EQ(titles(120), "TIME PID PARENT USER UNIT AGE ENDED COMMAND");
  EXPECT_EQ(titles(97), "TIME PID USER UNIT AGE ENDED COMMAND");
  EXPECT_EQ(titles(80), "TIME PID USER UNIT ENDED COMMAND");
  EXPECT_EQ(titles(70), "PID USER UNIT ENDED COMMAND");
  EXPECT_EQ(titles(60), "PID UNIT ENDED COMMAND");
  EXPECT_EQ(titles(50), "PID ENDED COMMAND");
}

TEST_F(TableTest, KeepsPidUnitAndEndedInANarrowWindow) {
  const std::string shown = line(terminal(60), grep_);
  EXPECT_NE(shown.find("7889"), std::string::npos);
  EXPECT_NE(shown.find("exit 1"), std::string::npos);
  EXPECT_NE(shown.find("grep -q"), std::string::npos);
  EXPECT_NE(shown.find("cron"), std::string::npos);
  EXPECT_EQ(shown.find("bash"), std::string::npos);
}

TEST_F(TableTest, AdaptsToAResizedWindow) {
  Table table(KNELL_EVENT_EXIT, false, terminal(60));
  std::string out;
  table.resize(terminal(150));
  table.add(grep_, out);
  EXPECT_NE(out.find("cron"), std::string::npos);
}

TEST_F(TableTest, ResetsEachColour) {
  EventForTest killed;
  killed.exit(9).process(1, 0);
  for (size_t columns = 1; columns < 150; ++columns) {
    std::string out = line(terminal(columns, true), killed);
    size_t on = 0;
    size_t off = 0;
    for (size_t at = 0; (at = out.find("\033[", at)) != std::string::npos; ++at) {
      ++(out.compare(at, 4, "\033[0m") == 0 ? off : on);
    }
    EXPECT_EQ(on, off);
  }
  EXPECT_NE(line(terminal(100, true), killed).find("\033[31mSIGKILL\033[0m"), std::string::npos);
  EXPECT_EQ(line(terminal(100, false), killed).find('\033'), std::string::npos);
}

TEST_F(TableTest, ShowsUnknownAsUnknown) {
  EventForTest event;
  event.process(5, 0);
  std::istringstream words(line({}, event));
  std::string time, pid, parent, user, unit, age, how, command;
  words >> time >> pid >> parent >> user >> unit >> age >> how >> command;
  EXPECT_EQ(parent + user + unit + age + how + command, "----unknown-");
}

TEST_F(TableTest, ShowsTheContainerWhereThereIsNoUnit) {
  EventForTest event;
  event.process(5, 4).container(std::string(64, 'c'));
  EXPECT_NE(line({}, event).find(" " + std::string(12, 'c') + " "), std::string::npos);
}

TEST_F(TableTest, ShowsLossesAsLines) {
  EventForTest lost;
  lost.event.type = KNELL_EVENT_LOST;
  lost.event.time_ns = grep_.event.time_ns;
  EXPECT_EQ(line({}, lost), "00:12:01.412  lost an unknown number of events\n");
}

}  // namespace
}  // namespace knell::cli
