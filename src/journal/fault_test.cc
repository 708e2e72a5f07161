// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Makes the first, second, third, ... allocation or disk call of SQLite fail, once or from then on,
// until no call fails any more. After each run, no event may be missing: it is delivered or
// reported as lost. Allocations of knell itself are not covered: if one fails, knelld ends, which
// crash_test.cc covers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "journal/faults_for_test.h"
#include "journal/recorder.h"
#include "journal/store_for_test.h"
#include "journal/verify.h"

namespace knell::journal {
namespace {

namespace fs = std::filesystem;

using How = std::tuple<Fault, bool>;  // bool: permanently

class FaultTest : public ::testing::TestWithParam<How> {
 protected:
  StoreOptions options() const {
    return {
        .path = folder_->file("journal.db"), .sync = Sync::kAlways, .checkpoint_bytes = 48 << 10};
  }
  // Calls work(n) for n = 1, 2, ... in a new folder, until no call fails in it.
  template <class F>
  void fail_everywhere(int at_least, F work) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE("call " + std::to_string(n));
      folder_ = std::make_unique<TemporaryFolder>("/dev/shm");
      const bool fired = work(n);
      if (HasFailure()) return;
      if (!fired) {
        EXPECT_GT(n, at_least) << "too few calls were made";
        return;
      }
    }
  }
  void arm(int n) { faults_.arm(std::get<Fault>(GetParam()), n, std::get<bool>(GetParam())); }
  // All events in the journal, which must be intact and must never have been moved aside.
  std::vector<Seen> read() {
    for (const auto& entry : fs::directory_iterator(folder_->path()))
      EXPECT_EQ(entry.path().string().find("damaged"), std::string::npos) << entry.path();
    const auto found = verify(options().path);
    if (!found) {
      ADD_FAILURE() << found.error().message();
      return {};
    }
    for (const std::string& problem : found->problems) ADD_FAILURE() << problem;
    auto reader = Reader::open(options().path);
    EveryEvent every;
    return reader ? read_all(*reader, every).value_or(std::vector<Seen>()) : std::vector<Seen>();
  }

  Faults faults_;
  std::unique_ptr<TemporaryFolder> folder_;
  FakeClock clock_;
};

TEST_P(FaultTest, EveryEventIsStoredOrReportedAsLost) {
  constexpr int kBatches = 4, kBatch = 30;
  fail_everywhere(20, [&](int n) {
    arm(n);
    std::string said;
    RecorderOptions recording{.store = options(), .latency_ns = 10'000'000'000};  // until flush()
    auto recorder = std::make_unique<Recorder>(
        recording, [&](const std::string& line) { said += line + "\n"; }, clock_);
    int pid = 0;
    const auto write = [&](int count) {
      for (int i = 0; i < count; ++i) recorder->add(exit_event(++pid));
      recorder->flush();
      clock_.now_ns += 2'000'000'000;
    };
    for (int batch = 0; batch < kBatches; ++batch) write(kBatch);
    const bool fired = faults_.disarm();
    write(1);
    const Recorder::Status status = recorder->status();
    EXPECT_EQ(status.state, Recorder::State::kWorking) << status.problem;
    recorder.reset();
    EXPECT_EQ(said.find("moved to"), std::string::npos) << said;

    uint64_t lost = 0, lost_events = 0;
    int last = 0;
    const std::vector<Seen> all = read();
    for (const Seen& one : all) {
      if (one.type == KNELL_EVENT_LOST) {
        EXPECT_TRUE(one.lost);
        lost += one.lost.value_or(0);
        ++lost_events;
        continue;
      }
      EXPECT_GT(one.pid, last);
      EXPECT_EQ(one.comm, "grep");
      last = one.pid;
    }
    EXPECT_EQ(all.size() - lost_events + lost, static_cast<uint64_t>(pid)) << said;
    EXPECT_EQ(lost, 0U) << "all fit into the queue";
    EXPECT_EQ(status.lost_disk, 0U);
    EXPECT_EQ(status.written, all.size());
    EXPECT_EQ(last, pid) << said;
    return fired;
  });
}

// A name has the acknowledgement of the last commit or, if a commit failed, may have the
// acknowledgement of that one.
TEST_P(FaultTest, EveryAcknowledgementIsStoredOrFails) {
  fail_everywhere(20, [&](int n) {
    arm(n);
    std::unique_ptr<Store> store;
    int64_t stored = 0;
    std::vector<int64_t> in_doubt;
    for (int step = 1; step <= 5; ++step) {
      int64_t acked = stored;
      const auto change = [&]() -> Result<void> {
        if (!store) {
          KNELL_ASSIGN(Store opened, Store::open(options(), clock_));
          store = std::make_unique<Store>(std::move(opened));
        }
        if (store->names().find(1, "n") == nullptr)
          KNELL_TRY(store->put({.name = "n", .owner = 1, .mask = KNELL_EVENT_EXIT, .acked = 1}));
        for (int i = 0; i < 10; ++i)
          KNELL_TRY(store->append(exit_event(static_cast<int32_t>(store->next_seq()))));
        acked = store->next_seq() - 6;
        KNELL_TRY(store->acknowledge(1, "n", acked));
        return store->commit();
      };
      if (const auto changed = change(); changed) {
        stored = acked;
        in_doubt.clear();
      } else {
        in_doubt.push_back(acked);
        const int code = changed.error().code;
        EXPECT_NE(code, EBADMSG) << changed.error().message();
        if (code != ENOSPC && code != ENOMEM) store.reset();
      }
    }
    const bool fired = faults_.disarm();
    std::vector<DurableName> known;
    if (store) {
      EXPECT_TRUE(store->append(exit_event(1)) && store->commit());
      known = store->names().all();
      store.reset();
    }
    auto again = Store::open(options(), clock_);
    if (!again) {
      ADD_FAILURE() << again.error().message();
      return fired;
    }
    if (!known.empty()) {
      EXPECT_EQ(known, again->names().all());
    }
    read();
    const DurableName* name = again->names().find(1, "n");
    const int64_t now = name == nullptr ? 0 : name->acked;
    if (now != stored) {
      EXPECT_THAT(in_doubt, ::testing::Contains(now));
    }
    return fired;
  });
}

std::string name_of(const ::testing::TestParamInfo<How>& info) {
  constexpr const char* kNames[] = {"Io", "DiskFull", "Allocation"};
  return std::string(kNames[static_cast<int>(std::get<Fault>(info.param))]) +
         (std::get<bool>(info.param) ? "ForGood" : "Once");
}

INSTANTIATE_TEST_SUITE_P(, FaultTest,
                         ::testing::Combine(::testing::Values(Fault::kIo, Fault::kDiskFull,
                                                              Fault::kAllocation),
                                            ::testing::Bool()),
                         name_of);

// While the disk does not answer, add() returns, and events that do not fit in the queue are
// counted.
TEST(StalledDisk, DoesNotHoldUpThatEventsAreAdded) {
  Faults faults;
  TemporaryFolder folder("/dev/shm");
  RecorderOptions options;
  options.store.path = folder.file("journal.db");
  options.latency_ns = 0;
  options.queue_bytes = 64 << 10;
  auto recorder = std::make_unique<Recorder>(options, [](const std::string&) {});
  recorder->add(exit_event(1));
  recorder->flush();
  faults.stall();
  recorder->add(exit_event(2));
  faults.wait_until_stalled();
  for (int pid = 3; pid <= 5000; ++pid) recorder->add(exit_event(pid));
  const Recorder::Status status = recorder->status();
  EXPECT_EQ(status.written, 1U);
  EXPECT_GT(status.lost_queue, 4000U);
  EXPECT_GT(status.writing_ns, 0U);
  EXPECT_GT(status.queued_bytes, 60U << 10);
  faults.release();
  recorder->flush();
  recorder->add(exit_event(5001));
  recorder.reset();

  auto reader = Reader::open(options.store.path);
  ASSERT_TRUE(reader);
  EveryEvent every;
  const auto all = read_all(*reader, every);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->back().pid, 5001);
  const uint64_t total =
      std::accumulate(all->begin(), all->end(), uint64_t{0}, [](uint64_t sum, const Seen& one) {
        return sum + (one.type == KNELL_EVENT_LOST ? one.lost.value_or(0) : 1);
      });
  EXPECT_EQ(total, 5001U);
}

TEST(Recorder, IsNotWaitedForWhileADiskDoesNotAnswer) {
  const TemporaryFolder folder("/dev/shm");
  Faults faults;
  RecorderOptions options;
  options.store.path = folder.file("journal.db");
  options.latency_ns = 0;
  auto recorder = std::make_unique<Recorder>(options, [](const std::string&) {});
  recorder->add(exit_event(1));
  recorder->flush();
  EXPECT_EQ(recorder->unwritten(), 0U);
  faults.stall();
  recorder->add(exit_event(2));
  faults.wait_until_stalled();
  recorder->add(exit_event(3));
  bool ended = false;
  recorder->request_stop([&] { ended = true; });
  EXPECT_FALSE(recorder->await_end(std::chrono::steady_clock::now()));
  EXPECT_EQ(recorder->unwritten(), 2U);
  faults.release();
  EXPECT_TRUE(recorder->await_end(std::chrono::steady_clock::time_point::max()));
  EXPECT_TRUE(ended);
  EXPECT_EQ(recorder->unwritten(), 0U);
  EXPECT_EQ(recorder->status().written, 3U);
}

}  // namespace
}  // namespace knell::journal
