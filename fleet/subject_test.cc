// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/subject.h"

#include <gtest/gtest.h>

#include "fleet/event_for_test.h"

namespace knell::fleet {
namespace {

TEST(FleetSubject, ChecksNamesOfHosts) {
  EXPECT_EQ(*parse_host("db-1_A"), "db-1_A");
  EXPECT_EQ(parse_host(std::string(64, 'a'))->size(), 64u);
  for (const std::string wrong : {"", "db.1", "db*", "db 1", ">", "a\n"})
    EXPECT_FALSE(parse_host(wrong)) << wrong;
  EXPECT_FALSE(parse_host(std::string(65, 'a')));
}

TEST(FleetSubject, MakesANameOfTheMachinesName) {
  EXPECT_EQ(host_of_machine("db1.example.com"), "db1_example_com");
  EXPECT_EQ(host_of_machine(""), "host");
  EXPECT_TRUE(parse_host(host_of_machine(std::string(300, '.'))));
}

TEST(FleetSubject, SaysHowAProcessEnded) {
  EXPECT_EQ(event_subject("db1", exit_for_test(7, 0)), "knell.ev.db1.exit.ok");
  EXPECT_EQ(event_subject("db1", exit_for_test(7, 3 << 8)), "knell.ev.db1.exit.nz");
  EXPECT_EQ(event_subject("db1", exit_for_test(7, 9)), "knell.ev.db1.exit.sig");
  EXPECT_EQ(event_subject("db1", exit_for_test(7, 11 | 0x80)), "knell.ev.db1.exit.core");
  knell_event oom = exit_for_test(7, 9);
  oom.has |= KNELL_HAS_KILLER;
  oom.killed_by.cause = KNELL_CAUSE_OOM;
  EXPECT_EQ(event_subject("db1", oom), "knell.ev.db1.exit.oom");
  EXPECT_EQ(event_subject("db1", event_for_test(KNELL_EVENT_EXIT)), "knell.ev.db1.exit.unknown");
  EXPECT_EQ(event_subject("db1", event_for_test(KNELL_EVENT_EXEC)), "knell.ev.db1.exec.none");
  EXPECT_EQ(event_subject("db1", event_for_test(KNELL_EVENT_LOST)), "knell.ev.db1.lost.lost");
}

TEST(FleetSubject, SelectsHosts) {
  EXPECT_EQ(subjects_of_hosts("db1"), "knell.ev.db1.>");
  EXPECT_EQ(subjects_of_hosts("db*"), "knell.ev.>");
  EXPECT_TRUE(host_matches("db*", "db1"));
  EXPECT_FALSE(host_matches("db[2-9]", "db1"));
}

}  // namespace
}  // namespace knell::fleet
