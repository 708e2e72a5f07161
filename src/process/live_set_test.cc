// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/live_set.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "process/fake_proc.h"

namespace knell::process {
namespace {

using Kind = LiveSet::Difference::Kind;
using Lifetime = std::pair<int32_t, uint64_t>;  // pid and start

constexpr uint64_t kTickNs = 10'000'000;
constexpr uint64_t kLongestDelayNs =
    LiveSet::kSettleNs / 2;  // of an exit, after its process is gone

// A machine of few pids, which are reused all the time, and the queue of its events.
class Machine : public KernelProcesses {
 public:
  enum class What : uint8_t { kFork, kExec, kExit, kLost };
  struct Event {
    What what = What::kLost;
    int32_t pid = 0;
    uint64_t start = 0;
    bool exact = true;
    size_t count = 0;  // kLost
  };
  struct Process {
    uint64_t start = 0;
    bool ended = false, executed = false;
    int32_t status = 0;
  };

  FakeClock clock;
  std::map<int32_t, Process> now;
  std::deque<Event> queue;
  std::multimap<uint64_t, Event> delayed;  // by the time at which they are sent
  bool in_hole = false, holed = false;
  std::map<std::pair<int32_t, uint64_t>, int> execs;
  size_t happened = 0, dropped = 0;
  int opened = 0;

  uint64_t ticks() const { return clock.now_ns / kTickNs; }
  void pass(uint64_t ns) {
    clock.now_ns += ns;
    while (!delayed.empty() && delayed.begin()->first <= clock.now_ns) {
      send(delayed.begin()->second);
      delayed.erase(delayed.begin());
    }
  }
  void send(const Event& event) {
    ++happened;
    if (in_hole)
      ++dropped;
    else
      queue.push_back(event);
  }
  // Events are received again; the hole is reported now, or by report_hole() after some events.
  void end_hole(bool report = true) {
    holed |= std::exchange(in_hole, false);
    if (report) report_hole();
  }
  void report_hole() {
    if (std::exchange(holed, false)) queue.push_back({.count = std::exchange(dropped, 0)});
  }
  void fork(int32_t pid, bool exact = true) {
    // A pid is not reused so soon that the exit of the earlier process is still to be sent.
    for (const auto& [at, event] : delayed)
      if (event.pid == pid) return;
    if (now.contains(pid)) return;
    now[pid] = {.start = ticks()};
    // The stamp of a fork may be in the next tick.
    send({What::kFork, pid, ticks() + (exact ? 0 : 1), exact});
  }
  void exec(int32_t pid) {
    const auto at = now.find(pid);
    if (at == now.end() || at->second.ended) return;
    at->second.executed = true;
    ++execs[{pid, at->second.start}];
    send({What::kExec, pid, at->second.start});
  }
  void end(int32_t pid, uint64_t delay_ns, bool reaped) {
    const auto at = now.find(pid);
    if (at == now.end() || at->second.ended) return;
    at->second.ended = true;
    at->second.status = 7 << 8;
    delayed.emplace(clock.now_ns + delay_ns, Event{What::kExit, pid, at->second.start});
    if (reaped) now.erase(at);
    pass(0);
  }
  void reap(int32_t pid) {
    const auto at = now.find(pid);
    if (at != now.end() && at->second.ended) now.erase(at);
  }

  std::optional<State> state_of(int32_t pid) override {
    const auto at = now.find(pid);
    if (at == now.end()) return std::nullopt;
    return State{.start = at->second.start,
                 .ppid = 1,
                 .ended = at->second.ended,
                 .executed = at->second.executed};
  }
  void begin_list() override { listed_ = 0; }
  int32_t next_pid() override {
    const auto next = now.upper_bound(listed_);
    return listed_ = next == now.end() ? 0 : next->first;
  }
  bool list_failed() const override { return false; }
  UniqueFd open(int32_t pid) override {
    if (!now.contains(pid)) return UniqueFd();
    ++opened;
    return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  // A descriptor gives the status for ever.
  std::optional<int32_t> status_of(int32_t, const UniqueFd& pidfd) override {
    return pidfd ? std::optional(7 << 8) : std::nullopt;
  }

 private:
  int32_t listed_ = 0;
};

// Passes events from the machine to the set, and keeps what a listener would receive.
class Listener : public LiveSet::Report {
 public:
  explicit Listener(Machine& machine, size_t most_open = 1000)
      : machine_(machine),
        table(proc_, machine.clock, time_, 1),
        live(machine, machine.clock, most_open) {
    live.use(&table);
  }

  void read(size_t most = SIZE_MAX) {
    for (; most > 0 && !machine_.queue.empty(); --most) {
      const Machine::Event event = machine_.queue.front();
      machine_.queue.pop_front();
      ++(event.what == Machine::What::kLost ? holes : came);
      lost += event.count;
      switch (event.what) {
        case Machine::What::kFork: {
          const auto before = live.begin(event.pid, event.start, event.exact);
          if (before) on_difference(*before);
          const uint64_t start = event.exact ? event.start : event.start - 1;
          ++forks[{event.pid, start}];
          break;
        }
        case Machine::What::kExec:
          live.executed(event.pid, event.start);
          ++execs[{event.pid, event.start}];
          break;
        case Machine::What::kExit: {
          ++exits[{event.pid, event.start}];
          const auto before = live.end(event.pid, event.start);
          if (before) on_difference(*before);
          break;
        }
        case Machine::What::kLost:
          live.on_lost();
      }
    }
    if (machine_.queue.empty()) read_until_ = machine_.clock.now_ns;
  }
  void advance(size_t budget = SIZE_MAX) {
    ScanBudget left{.left = budget};
    live.advance(left, read_until_, *this);
  }
  // Until nothing is due any more.
  void finish() {
    for (int i = 0; i < 1000 && live.due_ns() != 0; ++i) {
      machine_.pass(LiveSet::kSettleNs);
      read();
      advance();
    }
    EXPECT_EQ(live.due_ns(), 0U);
  }

  bool has_room() override { return true; }
  void on_difference(const LiveSet::Difference& found) override {
    const uint64_t start = found.exact ? found.start : found.start - 1;
    const Lifetime life{found.pid, start};
    differences.push_back(found);
    ++(found.kind == Kind::kEnded ? exits : found.kind == Kind::kBegun ? forks : execs)[life];
    if (found.kind == Kind::kEnded) ++recovered_exits;
  }

 private:
  Machine& machine_;
  uint64_t read_until_ = 0;
  FakeProc tree_;
  ProcReader proc_ = tree_.reader();
  Timebase time_;

 public:
  ProcessTable table;
  LiveSet live;
  std::map<Lifetime, int> forks, execs, exits;
  std::vector<LiveSet::Difference> differences;
  int recovered_exits = 0;
  size_t came = 0, holes = 0, lost = 0;
};

class LiveSetTest : public testing::Test {
 protected:
  void track(Tracked tracked = Tracked::kAll) {
    listener_.live.track(tracked, true, machine_.ticks());
    ScanBudget all;
    EXPECT_TRUE(listener_.live.scan_some(all));
    machine_.pass(5 * kTickNs);
  }
  Machine machine_;
  Listener listener_{machine_};
};

TEST_F(LiveSetTest, FindsAnExitThatWasLost) {
  machine_.fork(1);
  machine_.queue.clear();
  track();
  machine_.fork(2);
  listener_.read();
  machine_.in_hole = true;
  machine_.end(1, 0, true);
  machine_.end(2, 0, true);
  machine_.end_hole();
  listener_.read();
  listener_.finish();
  ASSERT_EQ(listener_.differences.size(), 2U);
  for (const auto& found : listener_.differences) {
    EXPECT_EQ(found.kind, Kind::kEnded);
    EXPECT_FALSE(found.status);
  }
  EXPECT_EQ(listener_.live.size(), 0U);
}

TEST_F(LiveSetTest, FindsAForkAndAnExecThatWereLost) {
  machine_.fork(1);
  machine_.queue.clear();
  track();
  machine_.in_hole = true;
  machine_.fork(2);
  machine_.exec(2);
  machine_.fork(3);
  machine_.exec(1);
  machine_.end_hole();
  listener_.read();
  listener_.finish();
  EXPECT_EQ(listener_.forks.size(), 2U);
  EXPECT_EQ(listener_.execs.size(), 2U);
  ASSERT_EQ(listener_.differences.size(), 4U);
  EXPECT_EQ(listener_.differences[0].ppid, 1);
  listener_.live.on_lost();
  listener_.finish();
  EXPECT_EQ(listener_.differences.size(), 4U);  // each once
}

// The loss is reported after the exec of a process whose fork it counts.
TEST_F(LiveSetTest, AnExecThatComesBeforeTheLossIsNotReportedAgain) {
  track();
  machine_.in_hole = true;
  machine_.fork(3);
  machine_.end_hole(/*report=*/false);
  machine_.exec(3);
  machine_.report_hole();
  listener_.read();
  listener_.finish();
  ASSERT_EQ(listener_.differences.size(), 1U);
  EXPECT_EQ(listener_.differences[0].kind, Kind::kBegun);
}

TEST_F(LiveSetTest, AnExecThatComesAfterTheHoleIsNotReportedAgain) {
  track();
  machine_.in_hole = true;
  machine_.fork(1);
  machine_.end_hole();
  machine_.exec(1);
  listener_.read();
  listener_.finish();
  ASSERT_EQ(listener_.differences.size(), 1U);
  EXPECT_EQ(listener_.differences[0].kind, Kind::kBegun);
}

TEST_F(LiveSetTest, AForkThatIsLostBeforeTheFirstScanIsFound) {
  machine_.fork(1);
  machine_.queue.clear();
  listener_.live.track(Tracked::kAll, true, machine_.ticks());
  machine_.pass(5 * kTickNs);
  machine_.in_hole = true;
  machine_.fork(2);
  machine_.end_hole();
  machine_.fork(3);
  ScanBudget all;
  EXPECT_TRUE(listener_.live.scan_some(all));
  listener_.read();
  listener_.finish();
  ASSERT_EQ(listener_.differences.size(), 1U);
  EXPECT_EQ(listener_.differences[0].pid, 2);
}

TEST_F(LiveSetTest, AnEventThatIsStillQueuedIsNotLost) {
  track();
  machine_.fork(1);
  listener_.read();
  listener_.live.on_lost();
  machine_.pass(LiveSet::kEveryNs);
  machine_.end(1, kLongestDelayNs, true);
  machine_.fork(2);
  listener_.advance();  // reads that 1 is gone and 2 is new
  listener_.finish();
  EXPECT_TRUE(listener_.differences.empty());
  EXPECT_EQ((listener_.exits.size()), 1U);
}

TEST_F(LiveSetTest, TellsAPidThatIsReusedInTheHole) {
  track();
  machine_.fork(1);
  listener_.read();
  machine_.in_hole = true;
  machine_.end(1, 0, true);
  machine_.pass(5 * kTickNs);
  machine_.fork(1);
  machine_.end_hole();
  listener_.read();
  listener_.finish();
  ASSERT_EQ(listener_.differences.size(), 2U);
  EXPECT_EQ(listener_.differences[0].kind, Kind::kEnded);
  EXPECT_EQ(listener_.differences[1].kind, Kind::kBegun);
  EXPECT_GT(listener_.differences[1].start, listener_.differences[0].start);
}

TEST_F(LiveSetTest, TheForkOfALaterProcessShowsALostExitAtOnce) {
  track();
  machine_.fork(1);
  listener_.read();
  machine_.in_hole = true;
  machine_.end(1, 0, true);
  machine_.end_hole();
  machine_.pass(5 * kTickNs);
  machine_.fork(1);
  listener_.read();
  EXPECT_EQ(listener_.recovered_exits, 1);
  EXPECT_TRUE(listener_.live.has(1));
  listener_.finish();
  EXPECT_EQ(listener_.differences.size(), 1U);
}

TEST_F(LiveSetTest, AZombieHasItsStatus) {
  track();
  machine_.fork(1);
  listener_.read();
  machine_.in_hole = true;
  machine_.end(1, 0, false);
  machine_.end_hole();
  machine_.pass(LiveSet::kEveryNs);
  listener_.read();
  listener_.advance();
  machine_.reap(1);
  listener_.finish();
  ASSERT_EQ(listener_.differences.size(), 1U);
  EXPECT_EQ(listener_.differences[0].status, 7 << 8);
}

TEST_F(LiveSetTest, NamedProcessesHaveTheirStatus) {
  for (const int32_t pid : {1, 2, 3}) machine_.fork(pid);
  machine_.queue.clear();
  Listener listener(machine_, 2);
  listener.live.track(Tracked::kNamed, false, machine_.ticks());
  for (const int32_t pid : {1, 2, 3}) listener.live.follow(pid, 0);
  EXPECT_EQ(listener.live.size(), 3U);
  EXPECT_EQ(machine_.opened, 2);
  machine_.in_hole = true;
  for (const int32_t pid : {1, 2, 3}) machine_.end(pid, 0, true);
  machine_.fork(4);
  machine_.end_hole();
  listener.read();
  listener.finish();
  ASSERT_EQ(listener.differences.size(), 3U);
  int known = 0;
  for (const auto& found : listener.differences) known += found.status.has_value() ? 1 : 0;
  EXPECT_EQ(known, 2);
}

TEST_F(LiveSetTest, ProcessesThatAreNotTrackedAreForgotten) {
  machine_.fork(1);
  track();
  listener_.live.follow(1, 0);
  machine_.fork(2);
  listener_.read();
  listener_.live.track(Tracked::kNamed, true, machine_.ticks());
  EXPECT_TRUE(listener_.live.has(1));
  EXPECT_FALSE(listener_.live.has(2));
  listener_.live.unfollow(1);
  EXPECT_EQ(listener_.live.size(), 0U);
  listener_.live.track(Tracked::kNone, true, machine_.ticks());
  listener_.live.on_lost();
  EXPECT_EQ(listener_.live.due_ns(), 0U);
}

// Whatever happens, and whatever is lost: no process has two forks or exits. A process that is
// known (from a fork, or since it existed before) has one exit if it ended, and none if it did not.
// And the counts are right.
RC_GTEST_PROP(LiveSetHistories, EachKnownProcessHasOneExit, ()) {
  Machine machine;
  Listener listener(machine);
  std::map<Lifetime, bool> lives;  // true: it existed before
  const auto note = [&](int32_t pid, bool before) {
    const auto at = machine.now.find(pid);
    if (at != machine.now.end()) lives.try_emplace({pid, at->second.start}, before);
  };
  machine.fork(1);
  machine.fork(2);
  note(1, true);
  note(2, true);
  machine.queue.clear();
  machine.happened = 0;
  listener.live.track(Tracked::kAll, true, machine.ticks());
  ScanBudget all;
  RC_ASSERT(listener.live.scan_some(all));
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
      rc::gen::tuple(rc::gen::inRange(0, 13), rc::gen::inRange(1, 9), rc::gen::inRange(0, 100)));
  for (const auto& [action, pid, number] : steps) {
    machine.pass(static_cast<uint64_t>(2 + number % 3) * kTickNs);
    switch (action) {
      case 0:
      case 1:
      case 2:
        machine.fork(pid, number % 2 == 0);
        note(pid, false);
        break;
      case 3:
      case 4:
        machine.end(pid, kLongestDelayNs / 100 * static_cast<uint64_t>(number), number % 3 != 0);
        break;
      case 5:
        machine.reap(pid);
        break;
      case 6:
        machine.exec(pid);
        break;
      case 7:
        machine.in_hole = true;
        break;
      case 8:
        machine.end_hole(number % 2 == 0);
        break;
      case 9:
        listener.read(static_cast<size_t>(number % 4));
        break;
      case 10:
        listener.read();
        listener.advance(static_cast<size_t>(1 + number % 5));
        break;
      case 11:
        machine.report_hole();
        break;
      default:
        machine.pass(static_cast<uint64_t>(number) * kTickNs);
        listener.advance(static_cast<size_t>(1 + number % 5));
    }
  }
  machine.pass(kLongestDelayNs);
  machine.end_hole();
  listener.read();
  listener.finish();
  for (const auto& [life, existed] : lives) {
    const auto alive = machine.now.find(life.first);
    const bool ended =
        alive == machine.now.end() || alive->second.start != life.second || alive->second.ended;
    RC_ASSERT(listener.forks[life] <= 1);
    if (!ended) RC_ASSERT(listener.exits[life] == 0);
    if (ended && (existed || listener.forks[life] == 1)) RC_ASSERT(listener.exits[life] == 1);
    RC_ASSERT(listener.exits[life] <= 1);
    if (!ended && !existed) RC_ASSERT(listener.forks[life] == 1);
    if (!ended && alive->second.executed) RC_ASSERT(listener.execs[life] >= 1);
    RC_ASSERT(listener.execs[life] <= machine.execs[life]);
  }
  // Each event was either received or is counted by a hole; holes also count recovered events.
  RC_ASSERT(listener.came + listener.lost == machine.happened);
  RC_ASSERT(listener.differences.size() <= listener.lost);
  for (const auto& [life, count] : listener.exits) RC_ASSERT(count == 0 || lives.contains(life));
}

// A comparison of 10,000 processes of which each tenth has ended and another tenth is new: the
// time is printed, and not tested.
TEST_F(LiveSetTest, ComparesTenThousandProcesses) {
  constexpr int kProcesses = 10'000;
  for (int32_t pid = 1; pid <= kProcesses; ++pid) machine_.fork(pid);
  machine_.queue.clear();
  track();
  machine_.in_hole = true;
  for (int32_t pid = 1; pid <= kProcesses; pid += 10) machine_.end(pid, 0, true);
  for (int32_t pid = 1; pid <= kProcesses / 10; ++pid) machine_.fork(kProcesses + pid);
  machine_.end_hole();
  listener_.read();
  const auto began = std::chrono::steady_clock::now();
  listener_.finish();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  RecordProperty("milliseconds", std::to_string(took.count()));
  EXPECT_EQ(listener_.differences.size(), 2U * kProcesses / 10);
}

}  // namespace
}  // namespace knell::process
