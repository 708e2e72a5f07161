// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/event_ring.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace knell::source {
namespace {

using Type = TracedFacts::Type;

EventRing ring_of(size_t bytes) {
  auto ring = EventRing::create(bytes);
  EXPECT_TRUE(ring.has_value()) << ring.error().message();
  return *std::move(ring);
}

TracedEvent event_of(Type type, int32_t pid, std::string_view args = {}) {
  TracedEvent event;
  event.type = type;
  event.pid = pid;
  event.args = args;
  event.has_args = !args.empty();
  return event;
}

TEST(EventRing, HandsOutWhatWasWrittenInOrder) {
  EventRing ring = ring_of(8192);
  // More than once around, with texts of every alignment.
  for (int i = 0; i < 1000; i++) {
    const std::string args(static_cast<size_t>(i % 37), 'a');
    TracedEvent event = event_of(Type::kExec, i, args);
    event.exe = "/bin/x";
    event.cwd = "/";
    event.cgroup = "0::/\n";
    ring.push(event);
    const auto seen = ring.pop();
    ASSERT_TRUE(seen.has_value());
    EXPECT_EQ(seen->pid, i);
    EXPECT_EQ(seen->args, args);
    EXPECT_EQ(seen->exe, "/bin/x");
    EXPECT_EQ(seen->cwd, "/");
    EXPECT_EQ(seen->cgroup, "0::/\n");
    ASSERT_FALSE(ring.pop().has_value());
  }
}

TEST(EventRing, WakesAReaderThatSleepsAndNoOther) {
  EventRing ring = ring_of(8192);
  EXPECT_TRUE(ring.push(event_of(Type::kFork, 1)));  // it has never read
  EXPECT_FALSE(ring.push(event_of(Type::kFork, 2)));
  EXPECT_TRUE(ring.pop().has_value());
  EXPECT_FALSE(ring.push(event_of(Type::kFork, 3)));  // it reads
  while (ring.pop()) {
  }
  EXPECT_TRUE(ring.push(event_of(Type::kFork, 4)));
}

TEST(EventRing, KeepsExitsLongestAndCountsTheRest) {
  EventRing ring = ring_of(16384);
  const std::string args(3000, 'a');
  int forks = 0, exits = 0;
  for (int i = 0; i < 20; i++) ring.push(event_of(Type::kFork, i, args));
  for (int i = 0; i < 100; i++) ring.push(event_of(Type::kExit, i, args));
  ring.push(event_of(Type::kExec, 1));
  uint64_t lost_forks = 0, lost_exits = 0, lost_execs = 0;
  bool shrunk = false;
  const auto take = [&](const TracedEvent& event) {
    forks += event.type == Type::kFork ? 1 : 0;
    exits += event.type == Type::kExit ? 1 : 0;
    shrunk = shrunk || (event.type == Type::kExit && !event.has_args);
    lost_forks += event.lost_forks;
    lost_execs += event.lost_execs;
    lost_exits += event.lost_exits;
  };
  while (const auto event = ring.pop()) take(*event);
  EXPECT_GT(forks, 0);
  EXPECT_GT(exits, 4);
  EXPECT_TRUE(shrunk);
  // What did not fit is reported before the next event.
  ring.push(event_of(Type::kFork, 7));
  const auto loss = ring.pop();
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(loss->type, Type::kLost);
  take(*loss);
  EXPECT_GT(lost_forks, 0U);
  EXPECT_EQ(static_cast<uint64_t>(forks) + lost_forks, 20U);
  EXPECT_EQ(static_cast<uint64_t>(exits) + lost_exits, 100U);
  EXPECT_EQ(lost_execs, 1U);
  EXPECT_EQ(ring.pop()->pid, 7);
  EXPECT_FALSE(ring.pop_unreported_loss().has_value());
}

TEST(EventRing, KeepsTheCountOfALossThatWasNeverReported) {
  EventRing ring = ring_of(4096);
  for (int i = 0; i < 100; i++) ring.push(event_of(Type::kExit, i));
  uint64_t exits = 0;
  while (const auto event = ring.pop()) exits += event->type == Type::kExit ? 1 : 0;
  const auto loss = ring.pop_unreported_loss();
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(exits + loss->lost_exits, 100U);
  EXPECT_FALSE(ring.pop_unreported_loss().has_value());
}

TEST(EventRing, LosesNothingBetweenTwoThreadsUncounted) {
  EventRing ring = ring_of(4096);
  constexpr int kEvents = 20000;
  std::thread writer([&] {
    for (int i = 0; i < kEvents; i++) ring.push(event_of(Type::kExit, i, "x"));
    ring.set_finished();
  });
  uint64_t seen = 0, lost = 0;
  int32_t last = -1;
  for (;;) {
    const bool finished = ring.finished();
    while (const auto event = ring.pop()) {
      lost += event->lost_exits;
      if (event->type != Type::kExit) continue;
      seen++;
      EXPECT_GT(event->pid, last);
      last = event->pid;
    }
    if (finished) break;
  }
  writer.join();
  if (const auto loss = ring.pop_unreported_loss()) lost += loss->lost_exits;
  EXPECT_EQ(seen + lost, static_cast<uint64_t>(kEvents));
}

}  // namespace
}  // namespace knell::source
