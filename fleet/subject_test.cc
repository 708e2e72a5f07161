// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/subject.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

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
  EXPECT_EQ(event_subject(3, "db1", exit_for_test(7, 0)), "knell.ev.3.db1.exit.ok");
  EXPECT_EQ(event_subject(3, "db1", exit_for_test(7, 3 << 8)), "knell.ev.3.db1.exit.nz");
  EXPECT_EQ(event_subject(3, "db1", exit_for_test(7, 9)), "knell.ev.3.db1.exit.sig");
  EXPECT_EQ(event_subject(3, "db1", exit_for_test(7, 11 | 0x80)), "knell.ev.3.db1.exit.core");
  knell_event oom = exit_for_test(7, 9);
  oom.has |= KNELL_HAS_KILLER;
  oom.killed_by.cause = KNELL_CAUSE_OOM;
  EXPECT_EQ(event_subject(3, "db1", oom), "knell.ev.3.db1.exit.oom");
  EXPECT_EQ(event_subject(3, "db1", event_for_test(KNELL_EVENT_EXIT)),
            "knell.ev.3.db1.exit.unknown");
  EXPECT_EQ(event_subject(3, "db1", event_for_test(KNELL_EVENT_EXEC)), "knell.ev.3.db1.exec.none");
  EXPECT_EQ(event_subject(3, "db1", event_for_test(KNELL_EVENT_LOST)), "knell.ev.3.db1.lost.lost");
}

TEST(FleetSubject, SelectsHosts) {
  EXPECT_EQ(subjects_of_hosts(0, "db1"), "knell.ev.0.db1.>");
  EXPECT_EQ(subjects_of_hosts(0, "db*"), kEventSubjects);
  EXPECT_EQ(event_stream(0), kEventStream);
  EXPECT_TRUE(host_matches("db*", "db1"));
  EXPECT_FALSE(host_matches("db[2-9]", "db1"));
}

TEST(FleetSubject, NamesItsHost) {
  EXPECT_EQ(host_of_event(event_subject(12, "db1", exit_for_test(7))), "db1");
  EXPECT_EQ(host_of_reply(reply_subject("db1", "abc")), "db1");
  for (const char* other :
       {"", "knell.ev.", "knell.ev.3", "knell.ev.3.", "knell.ev..", "knell.hb.db1"})
    EXPECT_EQ(host_of_event(other), "") << other;
  for (const char* other : {"", "knell.rp.", "knell.rp..a", "knell.rq.db1"})
    EXPECT_EQ(host_of_reply(other), "") << other;
}

TEST(FleetSubject, DistributesHostsOverShards) {
  std::array<int, 4> hosts{};
  for (int i = 0; i < 4000; ++i) ++hosts[shard_of("db" + std::to_string(i), 4)];
  for (const int count : hosts) EXPECT_NEAR(count, 1000, 150);
  EXPECT_EQ(shard_of("db1", 1), 0u);
  EXPECT_EQ(shard_of("db1", 0), 0u);
  // Forwarders of all versions must compute the same shards.
  EXPECT_EQ(shard_of("", 64), 1u);
  EXPECT_EQ(shard_of("a", 64), 0u);
  EXPECT_EQ(shard_of("db1", 64), 14u);
}

}  // namespace
}  // namespace knell::fleet
