// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/contender.h"

#include <gtest/gtest.h>
#include <knell/cn_proc.h>
#include <unistd.h>

#include <thread>

#include "bench/frame/cpu.h"
#include "bench/frame/storm.h"

namespace knell::bench {
namespace {

Blow three_of_which_one_failed() {
  Blow blow;
  blow.processes = {{11, 0}, {12, 1}, {13, 0}};
  blow.execs = true;
  blow.marker = 14;
  return blow;
}

TEST(CountLost, NothingIsMissingWhenAllCame) {
  const std::vector<Arrival> all = {{KNELL_EVENT_EXIT, 12},
                                    {KNELL_EVENT_EXIT, 11},
                                    {KNELL_EVENT_EXIT, 99},
                                    {KNELL_EVENT_EXIT, 13},
                                    {KNELL_EVENT_EXIT, 14}};
  EXPECT_EQ(count_lost(KNELL_EVENT_EXIT, three_of_which_one_failed(), all), 0u);
}

TEST(CountLost, WhoWantsFailuresMissesOnlyThose) {
  const std::vector<Arrival> marker = {{KNELL_EVENT_EXIT, 14}};
  EXPECT_EQ(count_lost(KNELL_EVENT_NONZERO_EXIT, three_of_which_one_failed(), marker), 1u);
  EXPECT_EQ(count_lost(KNELL_EVENT_EXIT, three_of_which_one_failed(), marker), 3u);
}

TEST(CountLost, EachTypeCounts) {
  constexpr uint32_t kAll = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;
  EXPECT_EQ(count_lost(kAll, three_of_which_one_failed(), {}), 4u + 3u + 4u);
  Blow no_execs = three_of_which_one_failed();
  no_execs.execs = false;
  EXPECT_EQ(count_lost(kAll, no_execs, {}), 4u + 4u);
}

TEST(CountLost, APidThatCameTwiceMustBeToldTwice) {
  Blow blow;
  blow.processes = {{11, 0}, {11, 0}};
  blow.marker = 14;
  const std::vector<Arrival> once = {{KNELL_EVENT_EXIT, 11}, {KNELL_EVENT_EXIT, 14}};
  EXPECT_EQ(count_lost(KNELL_EVENT_EXIT, blow, once), 1u);
}

TEST(Cpu, ThreadsThatEndedStillCount) {
  const pid_t self = ::getpid();
  const uint64_t before = tree_cpu_ns(self);
  const uint64_t living_before = schedstat_ns(self);
  std::thread([] {
    const uint64_t mine = schedstat_ns(::getpid());
    while (schedstat_ns(::getpid()) < mine + 20'000'000) {
    }
  }).join();
  const uint64_t used = tree_cpu_ns(self) - before;
  EXPECT_GE(used, 15'000'000u);
  // The sum over the threads that live has forgotten it.
  EXPECT_LT(schedstat_ns(self) - living_before, used);
}

TEST(Storm, TellsWhomItEnded) {
  Storm storm(StormKind::kVfork, 20, 10);
  ASSERT_TRUE(storm.prepare());
  const auto blow = storm.blow();
  ASSERT_TRUE(blow);
  ASSERT_EQ(blow->processes.size(), 20u);
  EXPECT_EQ(blow->count, 20u);
  EXPECT_EQ(blow->processes[8].status, 0);
  EXPECT_EQ(blow->processes[9].status, 1);
  EXPECT_GT(blow->marker, 0);
  EXPECT_GT(blow->end_ns, blow->begin_ns);
}

TEST(Storm, AProgramThatCannotBeExecutedFailsIt) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "vfork is fork under the thread sanitizer, so the child cannot tell";
#endif
#endif
  Storm storm(StormKind::kExec, 1, 0, "/nonexistent/program");
  ASSERT_TRUE(storm.prepare());
  EXPECT_FALSE(storm.blow());
}

TEST(Storm, ABurstIsHeldUntilItBlows) {
  Storm storm(StormKind::kBurst, 5, 0);
  ASSERT_TRUE(storm.prepare());
  const auto blow = storm.blow();
  ASSERT_TRUE(blow);
  EXPECT_EQ(blow->processes.size(), 5u);
}

}  // namespace
}  // namespace knell::bench
