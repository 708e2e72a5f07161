// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Random sequences of steps with a durable listener: events, acknowledgements, disconnects, kills
// of the daemon, deletion by the retention, expiration of the name, damage of the file, changes of
// the clock. Each connection of the listener must get all events after the last acknowledged one,
// as events or as counts of lost events, and in order.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "daemon/durable_for_test.h"
#include "journal/database.h"

namespace knell::daemon {
namespace {

namespace fs = std::filesystem;

struct Step {
  enum Kind : uint8_t {
    kEvents,
    kRead,
    kAcknowledge,
    kDisconnect,
    kKill,
    kRestart,
    kExpire,
    kDamage,
    kSetClock,
    kKinds
  };
  Kind kind = kEvents;
  int amount = 0;  // from 0 to 99
};

[[maybe_unused]] std::ostream& operator<<(std::ostream& out, const Step& step) {
  constexpr const char* kNames[] = {"events",  "read",   "acknowledge", "disconnect", "kill",
                                    "restart", "expire", "damage",      "set clock"};
  return out << kNames[step.kind] << ' ' << step.amount;
}

class Model {
 public:
  Model() { start(folders_.back()->file("journal.db")); }

  void apply(const Step& step) {
    switch (step.kind) {
      case Step::kEvents:
        happen(1 + step.amount * 5);
        break;
      case Step::kRead:
        read_all();
        break;
      case Step::kAcknowledge:
        acknowledge(step.amount);
        break;
      case Step::kDisconnect:
        disconnect();
        break;
      case Step::kKill:
        kill();
        break;
      case Step::kRestart:
        restart();
        break;
      case Step::kExpire:
        expire();
        break;
      case Step::kDamage:
        damage();
        break;
      case Step::kSetClock:
        clock_error_ns_ = (step.amount - 50) * INT64_C(10'000'000'000);
        clock_.epoch_ns = journal::kEpochNs + clock_error_ns_;
        break;
      case Step::kKinds:
        break;
    }
  }
  // Reads the events that the listener has not read yet.
  void finish() { read_all(); }

 private:
  static constexpr uint64_t kMonthNs = UINT64_C(31) * 86'400 * 1'000'000'000;

  void start(const std::string& path) {
    path_ = path;
    stage_ = std::make_unique<DurableStage>(
        DurableStage::Options{.path = path, .most_bytes = 64 << 10, .clock = &clock_});
    stage_->until([&] { return !stage_->durable_->progress().id.empty(); });
  }

  void happen(int count) {
    // Without a name, events are not stored.
    if (!exists_) connect();
    for (int i = 0; i < count; ++i) {
      knell_event event = journal::exit_event(++newest_);
      event.time_ns += clock_error_ns_;
      stage_->happen(event);
    }
  }
  void connect() {
    if (client_ != nullptr) return;
    client_ = &stage_->connect();
    const wire::Durable what{.name = "n", .cursor = {}, .most_unacked = 16'384};
    const wire::Ack ack = stage_->attach(*client_, what);
    RC_ASSERT(ack.error == 0);
    if (!std::exchange(exists_, true)) settle(newest_);  // a new name begins with the next event
    at_ = acked_;
    known_ = !replaced_;
    slack_ = 0;
    for (const auto& [from, until] : doubtful_) slack_ += until - std::max(from, acked_);
    read_ = 0;
  }
  // Reads all events of this connection, up to a new one.
  void read_all() {
    connect();
    happen(1);
    stage_->until([&] { return !client_->seen.empty() && client_->seen.back().pid == newest_; });
    for (; read_ < client_->seen.size(); ++read_) check(client_->seen[read_]);
    RC_ASSERT(at_ == newest_);
    stored_ = newest_;
  }
  // Marks all events up to this one as acknowledged.
  void settle(int32_t pid) {
    acked_ = pid;
    replaced_ = false;
    std::erase_if(doubtful_, [&](const auto& one) { return one.second <= pid; });
  }
  void check(const Delivered& event) {
    if (event.type == KNELL_EVENT_LOST) {
      if (!event.lost) {
        RC_ASSERT(replaced_);
        known_ = false;
      } else if (event.exact) {
        at_ += static_cast<int32_t>(*event.lost);
      } else {
        slack_ += static_cast<int32_t>(*event.lost);
      }
      return;
    }
    // otherwise it was delivered twice, or acknowledged, or counted as lost
    RC_ASSERT(event.pid > at_);
    const int32_t missing = event.pid - at_ - 1;
    if (known_) RC_ASSERT(missing <= slack_);
    if (std::exchange(known_, true)) slack_ -= missing;
    at_ = event.pid;
  }
  void acknowledge(int percent) {
    read_all();
    std::vector<const Delivered*> events;
    for (const Delivered& event : client_->seen)
      if (event.type == KNELL_EVENT_EXIT && event.pid > acked_) events.push_back(&event);
    if (events.empty()) return;
    const Delivered& event = *events[static_cast<size_t>(percent) * (events.size() - 1) / 99];
    const wire::Ack ack = stage_->acknowledge(*client_, event);
    RC_ASSERT(ack.error == 0);
    settle(event.pid);
  }
  void disconnect() {
    if (client_ == nullptr) return;
    stage_->disconnect(*client_);
    client_ = nullptr;
  }
  // Starts the next daemon with a copy of the files as they are now, which may lack the last
  // events.
  void kill() {
    const fs::path from = fs::path(path_).parent_path();
    folders_.push_back(std::make_unique<journal::TemporaryFolder>("/dev/shm"));
    const fs::path to = folders_.back()->path();
    // The database file does not change between the two copies: all data fits in the WAL, so there
    // is no checkpoint.
    for (const char* name : {"journal.db", "journal.db-wal"})
      if (fs::exists(from / name)) fs::copy_file(from / name, to / name);
    client_ = nullptr;
    stage_.reset();
    start(to / "journal.db");
    RC_ASSERT(stage_->durable_->empty() == !exists_);
    if (newest_ > stored_) doubtful_.emplace_back(stored_, newest_);
    stored_ = newest_;
  }
  void restart() {
    client_ = nullptr;
    stage_.reset();
    stored_ = newest_;
    start(path_);
  }
  // Lets the name expire, which was not used for a month.
  void expire() {
    read_all();
    disconnect();
    stage_->durable_->recorder().flush();  // until then the name is in use
    clock_.now_ns += kMonthNs;
    happen(1);
    stage_->until([&] { return stage_->durable_->empty(); });
    exists_ = false;
    stored_ = newest_;
  }
  void damage() {
    if (!exists_) return;
    client_ = nullptr;
    stage_.reset();
    {
      auto database = journal::Database::open(path_, journal::Database::Mode::kWrite);
      KNELL_CHECK(database && database->keep_wal() &&
                  database->execute("UPDATE journal SET created_ns=created_ns+1"));
    }
    stored_ = newest_;
    start(path_);
    replaced_ = true;
  }

  std::vector<std::unique_ptr<journal::TemporaryFolder>> folders_ = [] {
    std::vector<std::unique_ptr<journal::TemporaryFolder>> one;
    one.push_back(std::make_unique<journal::TemporaryFolder>("/dev/shm"));
    return one;
  }();
  SharedClock clock_;
  std::string path_;
  std::unique_ptr<DurableStage> stage_;
  DurableClient* client_ = nullptr;
  bool exists_ = false;    // the name exists
  bool replaced_ = false;  // the journal was replaced since the last acknowledgement
  int64_t clock_error_ns_ = 0;
  // Pids, which rise by one with each event.
  int32_t newest_ = 0, acked_ = 0;
  // up to this one events are in the journal, or were deleted by the retention
  int32_t stored_ = 0;
  std::vector<std::pair<int32_t, int32_t>> doubtful_;  // after the first: may have been killed
  // State of the connection.
  size_t read_ = 0;    // number of events read from client_->seen
  int32_t at_ = 0;     // up to this event all are delivered or lost
  int32_t slack_ = 0;  // the number of other events that may be missing
  bool known_ = true;  // false: the events after at_ are unknown
};

RC_GTEST_PROP(DurableModel, DeliveredAndLostIsWhatHappened, ()) {
  const auto steps = *rc::gen::scale(
      0.2, rc::gen::container<std::vector<Step>>(rc::gen::map(
               rc::gen::pair(rc::gen::inRange(0, static_cast<int>(Step::kKinds)),
                             rc::gen::resize(100, rc::gen::inRange(0, 100))),
               [](const std::pair<int, int>& one) {
                 return Step{.kind = static_cast<Step::Kind>(one.first), .amount = one.second};
               })));
  Model model;
  for (const Step& step : steps) {
    model.apply(step);
    RC_ASSERT(!::testing::Test::HasFailure());  // failures in the stage
  }
  model.finish();
  RC_ASSERT(!::testing::Test::HasFailure());
}

}  // namespace
}  // namespace knell::daemon
