// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knelld is killed and started again by its supervisor, while processes live and die. The clients
// keep their connections, and each event reaches them once.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "wire_listener.h"

namespace knell::test {
namespace {

class Restart : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    KNELL_NEEDS(lacks_bpf());
    ASSERT_TRUE(daemon_.start_supervised());
  }
  bool said(const std::string& text) const { return daemon_.log().find(text) != std::string::npos; }

  Daemon daemon_;
};

constexpr const char* kTakenOver = "the tracing programs and their events were taken over";

TEST_F(Restart, KeepsClientsAndEvents) {
  WireListener listener(daemon_.socket(), lives());
  const auto before = live_and_die(10);
  ASSERT_TRUE(daemon_.kill_supervised());
  const auto after = live_and_die(10);
  ASSERT_TRUE(listener.take_life(sentinel()));
  EXPECT_EQ(listener.keys_of(before), keys_of(before));
  EXPECT_EQ(listener.keys_of(after), keys_of(after));
  EXPECT_FALSE(listener.over());
  EXPECT_EQ(listener.lost(), 0U);
  EXPECT_TRUE(said(kTakenOver)) << daemon_.log();
}

// What happens while no daemon runs stays in the kernel.
TEST_F(Restart, ReportsWhatHappenedMeanwhile) {
  WireListener listener(daemon_.socket(), lives());
  const pid_t knelld = daemon_.supervised_pid();
  // The supervisor starts no other one while it is stopped.
  ASSERT_EQ(::kill(daemon_.pid(), SIGSTOP), 0);
  ASSERT_EQ(::kill(knelld, SIGKILL), 0);
  const auto meanwhile = live_and_die(200);
  ASSERT_EQ(::kill(daemon_.pid(), SIGCONT), 0);
  ASSERT_TRUE(daemon_.await_log("listens on"));
  ASSERT_TRUE(listener.take_life(sentinel()));
  EXPECT_EQ(listener.keys_of(meanwhile), keys_of(meanwhile));
  EXPECT_EQ(listener.lost(), 0U);
}

// One client reads at once, another one when all is over: its events are in its queue all the time.
TEST_F(Restart, LosesAndRepeatsNothingInAStorm) {
  constexpr int kKills = 20, kBetweenKills = 60;
  WireListener prompt(daemon_.socket(), lives());
  WireListener late(daemon_.socket(), lives(KNELL_EVENT_EXIT));
  std::atomic<int> died = 0, kills = 0;
  std::thread killer([&] {
    for (int next = 100; kills < kKills; next = died + kBetweenKills + 7 * kills) {
      while (died < next) std::this_thread::yield();
      if (!daemon_.kill_supervised()) break;
      ++kills;
    }
    kills = kKills;
  });
  std::vector<Life> all;
  while (kills < kKills) {
    const auto some = live_and_die(10);
    all.insert(all.end(), some.begin(), some.end());
    died += 10;
    prompt.take();
  }
  killer.join();
  const Life last = sentinel();
  ASSERT_TRUE(prompt.take_life(last));
  ASSERT_TRUE(late.take_until([&] { return !late.keys_of(std::vector{last}).empty(); }));
  EXPECT_EQ(prompt.keys_of(all), keys_of(all));
  Keys exits = keys_of(all);
  std::erase_if(exits, [](const auto& one) { return std::get<1>(one.first) != KNELL_EVENT_EXIT; });
  EXPECT_EQ(late.keys_of(all), exits);
  EXPECT_EQ(prompt.lost() + late.lost(), 0U);
  EXPECT_FALSE(said("were lost")) << daemon_.log();
}

}  // namespace
}  // namespace knell::test
