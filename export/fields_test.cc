// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/fields.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "export/event_for_test.h"

namespace knell::exporter {
namespace {

Value value_of(const knell_event& event, std::string_view attribute) {
  for (const Field& field : fields()) {
    if (field.attribute == attribute || field.journal == attribute) return field.of(event);
  }
  ADD_FAILURE() << "there is no " << attribute;
  return {};
}
const Value kAbsent;

TEST(Fields, NamesAreUniqueAndValid) {
  std::set<std::string_view> attributes, journal;
  for (const Field& field : fields()) {
    EXPECT_FALSE(field.attribute.empty() && field.journal.empty());
    if (!field.attribute.empty()) {
      EXPECT_TRUE(attributes.insert(field.attribute).second) << field.attribute;
    }
    if (field.journal.empty()) continue;
    EXPECT_TRUE(journal.insert(field.journal).second) << field.journal;
    // systemd.journal-fields(7): others are dropped.
    EXPECT_LE(field.journal.size(), 64u);
    EXPECT_TRUE(std::ranges::all_of(field.journal, [](char c) {
      return (c >= 'A' && c <= 'Z') || c == '_';
    })) << field.journal;
    EXPECT_NE(field.journal.front(), '_');
  }
}

TEST(Fields, AreInTheDocument) {
  std::ifstream file(KNELL_SOURCE_DIR "/docs/exports.md");
  std::stringstream read;
  read << file.rdbuf();
  const auto cell = [](std::string_view name) {
    return name.empty() ? std::string("-") : "`" + std::string(name) + "`";
  };
  for (const Field& field : fields()) {
    const std::string row = "\n| " + cell(field.attribute) + " | " + cell(field.journal) + " |\n";
    EXPECT_NE(read.str().find(row), std::string::npos) << row;
  }
}

TEST(Fields, AnEmptyEventHasNoMadeUpValues) {
  const std::set<std::string_view> always{"knell.type", "knell.seq", "", "knell.mono_ns",
                                          "knell.via"};
  knell_event event{};
  event.size = sizeof event;
  event.type = KNELL_EVENT_EXIT;
  for (const Field& field : fields()) {
    if (always.contains(field.attribute) || field.attribute == "knell.ended") continue;
    EXPECT_EQ(field.of(event), kAbsent) << field.attribute;
  }
  EXPECT_EQ(value_of(event, "knell.ended"), Value("unknown"));
}

TEST(Fields, OfAnExit) {
  const std::string unit = "db.service", exe = "/usr/bin/cc1plus", args("cc\0-o\0a\xff.o\0", 11);
  Exit exit(unit, exit_status(3));
  exit.exe = text(exe);
  exit.args = text(args);
  EXPECT_EQ(value_of(exit, "process.exit.code"), Value(int64_t{3}));
  EXPECT_EQ(value_of(exit, "knell.unit"), Value("db.service"));
  EXPECT_EQ(value_of(exit, "process.executable.name"), Value("cc1plus"));
  EXPECT_EQ(value_of(exit, "error.type"), Value("exit_3"));
  EXPECT_EQ(value_of(exit, "EXIT_CODE"), Value("exited"));
  EXPECT_EQ(value_of(exit, "EXIT_STATUS"), Value(int64_t{3}));
  EXPECT_EQ(value_of(exit, "knell.signal"), kAbsent);
  EXPECT_EQ(value_of(exit, "process.command_args"),
            Value(std::vector<std::string>{"cc", "-o", "a\\xff.o"}));
}

TEST(Fields, OfAnExitBySignal) {
  Exit exit("", kCoreStatus);
  EXPECT_EQ(value_of(exit, "knell.signal"), Value("SIGSEGV"));
  EXPECT_EQ(value_of(exit, "knell.core_dumped"), Value(true));
  EXPECT_EQ(value_of(exit, "process.exit.code"), kAbsent);
  EXPECT_EQ(value_of(exit, "error.type"), Value("SIGSEGV"));
  EXPECT_EQ(value_of(exit, "EXIT_CODE"), Value("dumped"));
  EXPECT_EQ(value_of(Exit("", SIGKILL).killed(KNELL_CAUSE_OOM), "error.type"), Value("oom"));
  EXPECT_EQ(value_of(Exit("", exit_status(0)), "error.type"), kAbsent);
}

TEST(Fields, Severities) {
  EXPECT_EQ(severity_of(Exit("", exit_status(0))), Severity::kInfo);
  EXPECT_EQ(severity_of(Exit("", exit_status(1))), Severity::kWarning);
  EXPECT_EQ(severity_of(Exit("", SIGTERM)), Severity::kWarning);
  EXPECT_EQ(severity_of(Exit("", kCoreStatus)), Severity::kError);
  EXPECT_EQ(severity_of(Exit("", SIGKILL).killed(KNELL_CAUSE_OOM)), Severity::kError);
  EXPECT_EQ(severity_of(Lost(1)), Severity::kWarning);
}

TEST(Summary, SaysHowAProcessEndedAndWhoDidIt) {
  const std::string unit = "db.service", comm = "postgres", killer = "bash";
  Exit exit(unit, SIGKILL);
  exit.pid = 8091;
  exit.comm = text(comm);
  EXPECT_EQ(summary_of(exit), "postgres[8091]: SIGKILL, db.service");
  exit.killed(KNELL_CAUSE_USER).killed_by.comm = text(killer);
  exit.killed_by.pid = 8103;
  exit.has |= KNELL_HAS_DURATION;
  exit.duration_ns = 41000000000;
  EXPECT_EQ(summary_of(exit), "postgres[8091]: SIGKILL by bash[8103], db.service, after 41s");
  exit.killed_by.cause = KNELL_CAUSE_OOM;
  EXPECT_EQ(summary_of(exit), "postgres[8091]: SIGKILL, out of memory, db.service, after 41s");
  EXPECT_EQ(summary_of(Exit("", exit_status(1))), "process: exit 1");
}

TEST(Summary, OfLostEvents) {
  EXPECT_EQ(summary_of(Lost(12)), "12 events were lost (exit)");
  Lost lost(12);
  lost.flags = 0;
  EXPECT_EQ(summary_of(lost), "up to 12 events were lost (exit)");
  lost.has = 0;
  EXPECT_EQ(summary_of(lost), "an unknown number of events was lost (exit)");
}

}  // namespace
}  // namespace knell::exporter
