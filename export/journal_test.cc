// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <set>
#include <sstream>

#include "export/entry_budget.h"
#include "export/event_for_test.h"
#include "export/journal_entry.h"
#include "export/journal_writer.h"

namespace knell::exporter {
namespace {

using testing::Contains;
using testing::Not;
using testing::StartsWith;

TEST(JournalEntry, HasTheFieldsOfTheEvent) {
  const std::string unit = "db.service", comm = "postgres", args("postgres\0-D\0/data\0", 18);
  Exit exit(unit, SIGKILL);
  exit.killed(KNELL_CAUSE_OOM);
  exit.pid = 8091;
  exit.comm = text(comm);
  exit.args = text(args);
  const auto entry = entry_of(exit);
  EXPECT_EQ(entry.front(), "MESSAGE=postgres[8091]: SIGKILL, out of memory, db.service");
  for (const char* field :
       {"MESSAGE_ID=a329d0dc023d4eb7bba7b435dcc303e6", "PRIORITY=3", "SYSLOG_IDENTIFIER=knell",
        "KNELL_TYPE=exit", "KNELL_PID=8091", "KNELL_UNIT=db.service", "KNELL_SIGNAL=SIGKILL",
        "KNELL_CMDLINE=postgres -D /data", "EXIT_CODE=killed", "EXIT_STATUS=9",
        "KNELL_KILLED_BY_CAUSE=oom", "KNELL_CORE_DUMPED=0"})
    EXPECT_THAT(entry, Contains(field));
  EXPECT_THAT(entry, Not(Contains(StartsWith("KNELL_EXIT_CODE="))));
}

TEST(JournalEntry, KindsAreOfTheEnding) {
  EXPECT_EQ(kind_of(Exit("", exit_status(0))).name, "exit");
  EXPECT_EQ(kind_of(Exit("", exit_status(1))).name, "failure");
  EXPECT_EQ(kind_of(Exit("", SIGTERM)).name, "signal");
  EXPECT_EQ(kind_of(Exit("", kCoreStatus)).name, "core");
  EXPECT_EQ(kind_of(Exit("", SIGKILL).killed(KNELL_CAUSE_OOM)).name, "oom");
  EXPECT_EQ(kind_of(Lost(1)).name, "lost");
  knell_event fork{};
  fork.size = sizeof fork;
  fork.type = KNELL_EVENT_FORK;
  EXPECT_EQ(kind_of(fork).name, "other");
}

TEST(JournalEntry, TheCatalogExplainsEachKindAndNamesOnlyFieldsThatAre) {
  std::ifstream file(KNELL_SOURCE_DIR "/packaging/systemd/knell-export.catalog");
  std::stringstream read;
  read << file.rdbuf();
  const std::string catalog = read.str();
  for (const EntryKind& kind : kEntryKinds)
    EXPECT_THAT(catalog, testing::HasSubstr("-- " + std::string(kind.message_id) + "\n"))
        << kind.name;
  const std::string unit = "a.service", words("a\0", 2);
  Exit exit(unit, SIGKILL);
  exit.has = ~uint64_t{0};
  exit.killed(KNELL_CAUSE_OOM);
  exit.pid = exit.ppid = 1;
  exit.comm = exit.exe = exit.cgroup = exit.user = exit.killed_by.comm = exit.killed_by.unit =
      exit.killed_by.memory_cgroup = text(unit);
  exit.args = text(words);
  exit.id = {1, 1, 1, KNELL_ID_START};
  std::set<std::string> names{"KNELL_EXIT_CODE", "KNELL_LOST_COUNT", "KNELL_LOST_TYPES"};
  for (const std::string& field : entry_of(exit)) names.insert(field.substr(0, field.find('=')));
  for (size_t at = catalog.find('@'); at != std::string::npos; at = catalog.find('@', at)) {
    const size_t end = catalog.find('@', at + 1);
    ASSERT_NE(end, std::string::npos);
    EXPECT_TRUE(names.contains(catalog.substr(at + 1, end - at - 1)))
        << catalog.substr(at, end - at + 1);
    at = end + 1;
  }
}

TEST(EntryBudget, IsOfOneWindow) {
  EntryBudget budget(2);
  const EntryBudget::Time start = EntryBudget::Time() + std::chrono::hours(1);
  EXPECT_EQ(budget.take(start).count(), 0);
  EXPECT_EQ(budget.take(start + std::chrono::seconds(10)).count(), 0);
  EXPECT_EQ(budget.take(start + std::chrono::seconds(10)), std::chrono::seconds(20));
  EXPECT_EQ(budget.take(start + std::chrono::seconds(30)).count(), 0);
  EXPECT_EQ(budget.take(start + std::chrono::seconds(59)).count(), 0);
  EXPECT_GT(budget.take(start + std::chrono::seconds(59)).count(), 0);
}

TEST(EntryBudget, TheDefaultIsLessThanJournaldsInAnyWindow) {
  EXPECT_LT(2 * EntryBudget::kDefault, 10000u);
}

TEST(EntryBudget, ZeroIsNoLimit) {
  EntryBudget budget(0);
  for (int i = 0; i < 100000; ++i) EXPECT_EQ(budget.take(EntryBudget::Time()).count(), 0);
}

class JournalWriterTest : public testing::Test {
 protected:
  // One event after the other, whose numbers are in KNELL_SEQ.
  bool deliver(JournalWriter& writer, size_t count) {
    std::vector<Exit> exits(count, Exit("", exit_status(1)));
    std::vector<const knell_event*> pointers;
    for (size_t i = 0; i < count; ++i) {
      exits[i].seq = i + 1;
      pointers.push_back(&exits[i]);
    }
    const auto done = writer.deliver(Events(pointers), *stop_);
    return done && *done;
  }
  int send(std::span<const std::string> fields) {
    if (!errors_.empty()) {
      const int error = errors_.back();
      errors_.pop_back();
      return error;
    }
    for (const std::string& field : fields) {
      if (field.starts_with("KNELL_SEQ=")) sent_.push_back(field.substr(10));
    }
    return 0;
  }
  JournalWriter::Send sender() {
    return [this](std::span<const std::string> fields) { return send(fields); };
  }

  Outcome<StopSignal> stop_ = StopSignal::create();
  std::vector<int> errors_;
  std::vector<std::string> sent_;
};

TEST_F(JournalWriterTest, TriesAgainWhenJournaldIsAway) {
  errors_ = {-ECONNREFUSED, -ENOENT};
  JournalWriter writer(sender(), EntryBudget(0));
  EXPECT_TRUE(deliver(writer, 2));
  EXPECT_THAT(sent_, testing::ElementsAre("1", "2"));
  EXPECT_EQ(writer.rejected(), 0u);
}

TEST_F(JournalWriterTest, CountsEntriesThatJournaldRefuses) {
  errors_ = {-E2BIG};
  JournalWriter writer(sender(), EntryBudget(0));
  EXPECT_TRUE(deliver(writer, 2));
  EXPECT_THAT(sent_, testing::ElementsAre("2"));
  EXPECT_EQ(writer.rejected(), 1u);
}

TEST_F(JournalWriterTest, StopsWhileItWaits) {
  ::raise(SIGTERM);  // blocked by StopSignal: stays pending
  JournalWriter writer(sender(), EntryBudget(1));
  EXPECT_FALSE(deliver(writer, 2));
  EXPECT_THAT(sent_, testing::ElementsAre("1"));
  int taken = 0;
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigwait(&set, &taken);
}

}  // namespace
}  // namespace knell::exporter
