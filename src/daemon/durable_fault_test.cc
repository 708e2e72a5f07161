// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Makes the first, second, third, ... allocation or disk call of SQLite fail, once or from then on,
// in the thread that writes and in the thread that reads, in a daemon with a durable listener. When
// the disk works again, the listener must get all events that were not acknowledged, as events or
// as counts of lost events.
//
// KNELL_CRASH_POINTS=all makes every call fail; otherwise a sample of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/durable_for_test.h"
#include "journal/faults_for_test.h"

namespace knell::daemon {
namespace {

using journal::Fault;
using How = std::tuple<Fault, bool>;  // bool: permanently

knell_event exec_event(int pid) {
  knell_event event = journal::exit_event(pid);
  event.type = KNELL_EVENT_EXEC;
  event.has &= ~uint64_t{KNELL_HAS_STATUS};
  return event;
}

class DurableFaultTest : public ::testing::TestWithParam<How> {
 protected:
  static constexpr uint64_t kRetryNs = 2'000'000'000;  // longer than the pause of the recorder
  static wire::Durable name() { return {.name = "n", .cursor = {}, .most_unacked = 4096}; }

  void wait_for_retry() { clock_.now_ns += kRetryNs; }
  // Tries a few times; nullptr: the journal cannot be written.
  DurableClient* attach(DurableStage& stage) {
    for (int i = 0; i < 3; ++i, wait_for_retry()) {
      DurableClient& client = stage.connect();
      const wire::Ack ack = stage.attach(client, name());
      if (ack.error == 0) return &client;
      EXPECT_EQ(ack.error, EIO) << ack.text;
      stage.disconnect(client);
    }
    return nullptr;
  }
  void happen(DurableStage& stage, int count) {
    stage.exits(newest_ + 1, newest_ + count);
    newest_ += count;
    stage.durable_->recorder().flush();
  }
  void acknowledge_last(DurableStage& stage, DurableClient& client) {
    for (int i = 0; i < 3; ++i) stage.turn();
    if (client.seen.empty()) return;
    const Delivered event = client.seen.back();
    const wire::Ack ack = stage.acknowledge(client, event);
    if (event.type != KNELL_EVENT_EXIT) {
      // The events that a lost event counts are not known here.
      acknowledged_lost_ = true;
    } else if (ack.error == 0) {
      acknowledged_ = {event.pid};
    } else {
      EXPECT_EQ(ack.error, EIO) << ack.text;
      acknowledged_.push_back(event.pid);
    }
  }
  // Checks the events that a new connection receives.
  void check(DurableStage& stage) {
    wait_for_retry();
    DurableClient* const client = attach(stage);
    ASSERT_NE(client, nullptr);
    happen(stage, 1);
    stage.until([&] { return !client->seen.empty() && client->seen.back().pid == newest_; });
    uint64_t total = 0;
    int32_t last = 0;
    for (const Delivered& event : client->seen) {
      if (event.type == KNELL_EVENT_LOST) {
        ASSERT_TRUE(event.lost);
        total += *event.lost;
        continue;
      }
      EXPECT_GT(event.pid, last);
      last = event.pid;
      ++total;
    }
    if (acknowledged_lost_) return;
    EXPECT_THAT(acknowledged_, ::testing::Contains(newest_ - static_cast<int32_t>(total)));
  }

  journal::Faults faults_;
  SharedClock clock_;
  int32_t newest_ = 0;
  // the last event whose ack was confirmed, and those whose ack may have been
  std::vector<int32_t> acknowledged_;
  bool acknowledged_lost_ = false;
};

TEST_P(DurableFaultTest, WhatIsNotAcknowledgedIsDeliveredWhateverFails) {
  for (int n = first_point();; n = next_point(n, 37)) {
    SCOPED_TRACE("call " + std::to_string(n));
    const journal::TemporaryFolder folder("/dev/shm");
    newest_ = 0;
    acknowledged_ = {0};
    acknowledged_lost_ = false;
    bool fired = false;
    {
      DurableStage stage({.path = folder.file("journal.db"), .clock = &clock_});
      DurableClient* client = attach(stage);
      ASSERT_NE(client, nullptr);
      faults_.arm(std::get<Fault>(GetParam()), n, std::get<bool>(GetParam()));
      for (int round = 0; round < 3; ++round) {
        happen(stage, 20);
        if (client != nullptr) acknowledge_last(stage, *client);
        wait_for_retry();
        if (round == 1) {
          if (client != nullptr) stage.disconnect(*client);
          client = attach(stage);
        }
      }
      fired = faults_.disarm();
      if (client != nullptr) stage.disconnect(*client);
      check(stage);
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      EXPECT_EQ(entry.path().string().find("damaged"), std::string::npos) << entry.path();
    if (HasFailure()) return;
    if (fired) continue;
    EXPECT_GT(n, 20) << "too few calls were traced";
    return;
  }
}

// If the change of a filter fails, it may have been committed nevertheless. Whatever the row has in
// the end, all events that pass it since then must be stored.
TEST_P(DurableFaultTest, AFilterWhoseChangeFailsIsTheOldOrTheNewOne) {
  const auto [fault, for_good] = GetParam();
  int committed = 0;  // although the answer was an error
  for (int n = 1;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    const journal::TemporaryFolder folder("/dev/shm");
    DurableStage stage(
        {.path = folder.file("journal.db"), .sync = journal::Sync::kAlways, .clock = &clock_});
    DurableClient* client = attach(stage);
    ASSERT_NE(client, nullptr);
    faults_.arm(fault, n, for_good);
    const wire::Ack ack = stage.attach(*client, name(), KNELL_EVENT_EXEC);
    EXPECT_TRUE(ack.error == 0 || ack.error == EIO) << ack.text;
    stage.happen(exec_event(1));
    stage.exits(2, 2);
    stage.durable_->recorder().flush();
    stage.turn();
    const bool fired = faults_.disarm();
    wait_for_retry();
    const uint32_t mask = stage.row("n").mask;
    stage.turn();
    stage.happen(exec_event(3));
    stage.exits(4, 4);
    EXPECT_TRUE(ack.error != 0 || mask == KNELL_EVENT_EXEC);
    if (ack.error != 0 && mask == KNELL_EVENT_EXEC) ++committed;
    stage.disconnect(*client);
    client = &stage.connect();
    ASSERT_EQ(stage.attach(*client, name(), mask).error, 0);
    const int32_t first = mask == KNELL_EVENT_EXEC ? 1 : 2;
    stage.until([&] { return !client->seen.empty() && client->seen.back().pid == first + 2; });
    EXPECT_THAT(DurableStage::pids(*client), ::testing::ElementsAre(first, first + 2));
    if (HasFailure()) return;
    if (fired) continue;
    EXPECT_GT(n, 5) << "too few calls were traced";
    const bool some = fault == Fault::kIo && for_good;
    EXPECT_TRUE(!some || committed > 0) << "no commit had an unknown outcome";
    return;
  }
}

TEST(DurableReadTest, AJournalThatCannotBeReadIsTriedAgainAfterPauses) {
  journal::Faults faults;
  const journal::TemporaryFolder folder("/dev/shm");
  DurableStage stage({.path = folder.file("journal.db")});
  const DurableClient& client = stage.attached("n");
  stage.exits(1, 5);
  stage.durable_->recorder().flush();
  faults.arm(Fault::kIo, 1, /*for_good=*/true);
  int turns = 0;
  for (const uint64_t end = system_clock().monotonic_ns() + 500'000'000;
       system_clock().monotonic_ns() < end; ++turns)
    stage.turn();
  EXPECT_LT(turns, 100) << "knelld uses a whole CPU";
  EXPECT_TRUE(client.seen.empty());
  EXPECT_TRUE(faults.disarm());
  stage.until([&] { return client.seen.size() == 5; });
}

TEST(DurableReadTest, NamesThatCouldNotBeReadAtTheStartAreKnownWhenTheJournalIsOpen) {
  journal::Faults faults;
  const journal::TemporaryFolder folder("/dev/shm");
  DurableStage stage({.path = folder.file("journal.db")});
  (void)stage.attached("n");
  stage.stop();
  EXPECT_EQ(stage.missed, 0);
  faults.arm(Fault::kIo, 1, /*for_good=*/false);
  stage.start();
  EXPECT_TRUE(faults.disarm());
  ASSERT_TRUE(stage.durable_->empty());
  stage.until([&] { return !stage.durable_->empty(); });
  EXPECT_EQ(stage.missed, 1) << "knelld must request its events, and report a loss";
  EXPECT_EQ(stage.durable_->interests().size(), 1U);
}

std::string name_of(const ::testing::TestParamInfo<How>& info) {
  constexpr const char* kNames[] = {"Io", "DiskFull", "Allocation"};
  return std::string(kNames[static_cast<int>(std::get<Fault>(info.param))]) +
         (std::get<bool>(info.param) ? "ForGood" : "Once");
}

INSTANTIATE_TEST_SUITE_P(, DurableFaultTest,
                         ::testing::Combine(::testing::Values(Fault::kIo, Fault::kDiskFull,
                                                              Fault::kAllocation),
                                            ::testing::Bool()),
                         name_of);

}  // namespace
}  // namespace knell::daemon
