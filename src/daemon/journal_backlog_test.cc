// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal_backlog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

#include "journal/reader.h"
#include "journal/store.h"

namespace knell::daemon {
namespace {

constexpr uint32_t kEvent = 1, kDone = 2;
constexpr size_t kMost = size_t{1} << 20;
const handover::State::Identity kIdentity{.boot = "boot", .pid_ns = 1, .build = 1};

class JournalBacklogTest : public testing::Test {
 protected:
  JournalBacklogTest() {
    std::string name = std::filesystem::temp_directory_path() / "knell-backlog-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    auto made = handover::State::create(kIdentity, kMost);
    EXPECT_TRUE(made) << made.error().message();
    state_.emplace(*std::move(made));
  }
  ~JournalBacklogTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ / "journal.db"; }
  static knell_event exit_of(int32_t pid, std::string& comm) {
    comm = "prog" + std::to_string(pid);
    knell_event event{};
    event.size = sizeof event;
    event.type = KNELL_EVENT_EXIT;
    event.has = KNELL_HAS_STATUS;
    event.pid = event.tid = pid;
    event.wait_status = 0x100;
    event.mono_ns = 1'000'000'000'000 + static_cast<uint64_t>(pid) * 1000;
    event.time_ns = 1'700'000'000'000'000'000 + pid * 1000;
    event.comm = {comm.data(), comm.size()};
    return event;
  }
  void add(JournalBacklog& backlog, int32_t pid) {
    std::string comm;
    backlog.add(exit_of(pid, comm));
    comm.assign(comm.size(), '#');  // the copy must not point to this string
  }
  // Restores the state as the next daemon does.
  JournalBacklog next() {
    JournalBacklog backlog(kEvent, kDone, kMost);
    EXPECT_TRUE(state_->read(
        [&](uint32_t kind, std::string_view payload) { backlog.restore(kind, payload); }));
    return backlog;
  }
  // `restored`: the backlog that this daemon has restored; the recorder counts its events in the
  // journal.
  std::unique_ptr<journal::Recorder> record(JournalBacklog* restored = nullptr) {
    journal::RecorderOptions options;
    options.store.path = path();
    return std::make_unique<journal::Recorder>(
        options, [](const std::string&) {}, system_clock(), [this] { progress_.release(); },
        restored == nullptr ? journal::Recorder::CountWritten() : restored->count_written(path()));
  }
  // Handles the progress of the recorder as Daemon::on_journal_progress() does.
  void drop_written(JournalBacklog& backlog, journal::Recorder& recorder) {
    std::optional<uint64_t> written;
    while (!(written = recorder.take_progress().written_before)) progress_.acquire();
    backlog.drop_written(*written);
  }
  // The pids in the journal; 0 for a lost event.
  std::vector<int32_t> written() const {
    std::vector<int32_t> pids;
    auto reader = journal::Reader::open(path());
    if (!reader) return pids;
    journal::EveryEvent all;
    std::array<knell_event, 8> events;
    for (bool end = false; !end;) {
      const auto read = reader->read(events, all);
      if (!read) break;
      for (size_t i = 0; i < read->count; ++i) pids.push_back(events[i].pid);
      end = read->end;
    }
    return pids;
  }

  std::filesystem::path folder_;
  std::optional<handover::State> state_;
  std::counting_semaphore<> progress_{0};  // released by all recorders
};

TEST_F(JournalBacklogTest, TheNextDaemonWritesWhatThisOneDidNot) {
  JournalBacklog backlog(kEvent, kDone, kMost);
  add(backlog, 1);
  add(backlog, 2);
  backlog.save(*state_, false);
  state_->commit();
  JournalBacklog again = next();
  EXPECT_EQ(again.size(), 2U);
  EXPECT_FALSE(again.lacks_some());
  auto recorder = record(&again);
  again.forward(*recorder);
  recorder->flush();
  EXPECT_EQ(written(), std::vector<int32_t>()) << "they may be in the file";
  drop_written(again, *recorder);
  EXPECT_EQ(again.size(), 2U);
  again.forward(*recorder);
  recorder->flush();
  EXPECT_EQ(written(), (std::vector<int32_t>{1, 2}));
}

TEST_F(JournalBacklogTest, AnEventThatWasCommittedIsNotWrittenAgain) {
  {
    auto recorder = record();
    JournalBacklog backlog(kEvent, kDone, kMost);
    add(backlog, 1);
    backlog.save(*state_, false);
    state_->commit();
    backlog.forward(*recorder);
    recorder->flush();
    add(backlog, 2);
    backlog.save(*state_, false);
    state_->commit();
    // Killed here: the daemon did not record that 1 is done, and did not forward 2.
  }
  JournalBacklog again = next();
  state_->begin_snapshot();
  again.save(*state_, true);
  state_->commit();
  auto recorder = record(&again);
  drop_written(again, *recorder);
  EXPECT_EQ(again.size(), 1U);
  again.forward(*recorder);
  recorder->flush();
  EXPECT_EQ(written(), (std::vector<int32_t>{1, 2}));
  // The next daemon is killed, too:
  add(again, 3);
  again.save(*state_, false);
  state_->commit();
  JournalBacklog third = next();
  recorder.reset();
  recorder = record(&third);
  drop_written(third, *recorder);
  EXPECT_EQ(third.size(), 1U) << "3 only";
  third.forward(*recorder);
  recorder->flush();
  EXPECT_EQ(written(), (std::vector<int32_t>{1, 2, 3}));
}

// The daemon before this one was stopped while its writer waited for the disk, and the writer has
// not ended. Its last events are in the file when it releases the lock of the journal, and not
// before.
TEST_F(JournalBacklogTest, WhatTheWriterBeforeWritesLastIsNotWrittenAgain) {
  auto before = record();
  before->flush();  // its thread has the lock now
  JournalBacklog backlog(kEvent, kDone, kMost);
  add(backlog, 1);
  add(backlog, 2);
  backlog.save(*state_, false);
  state_->commit();
  JournalBacklog again = next();
  auto recorder = record(&again);
  recorder->flush();
  EXPECT_FALSE(recorder->take_progress().written_before) << "another process has the journal";
  backlog.forward(*before);
  before.reset();
  drop_written(again, *recorder);
  EXPECT_EQ(again.size(), 0U);
  add(again, 3);
  again.forward(*recorder);
  recorder->flush();
  EXPECT_EQ(written(), (std::vector<int32_t>{1, 2, 3}));
}

TEST_F(JournalBacklogTest, WhatIsDoneIsForgotten) {
  JournalBacklog backlog(kEvent, kDone, kMost);
  auto recorder = record();
  for (int32_t pid = 1; pid <= 3; ++pid) add(backlog, pid);
  backlog.save(*state_, false);
  state_->commit();
  backlog.forward(*recorder);
  recorder->flush();
  backlog.set_done(2);
  backlog.save(*state_, false);
  state_->commit();
  EXPECT_EQ(next().size(), 1U);
  state_->begin_snapshot();
  backlog.save(*state_, true);
  state_->commit();
  EXPECT_EQ(next().size(), 1U) << "a snapshot has what is left";
  add(backlog, 4);
  backlog.save(*state_, false);
  state_->commit();
  EXPECT_EQ(next().size(), 2U);
}

TEST_F(JournalBacklogTest, WhatDoesNotFitIsALostEvent) {
  JournalBacklog backlog(kEvent, kDone, 2000);
  auto recorder = record();
  for (int32_t pid = 1; pid <= 9; ++pid) add(backlog, pid);
  backlog.save(*state_, false);
  state_->commit();
  EXPECT_TRUE(next().lacks_some());
  const size_t kept = backlog.size();
  EXPECT_LT(kept, 9U);
  backlog.forward(*recorder);
  recorder->flush();
  const std::vector<int32_t> pids = written();
  ASSERT_EQ(pids.size(), kept + 1);
  EXPECT_EQ(pids.back(), 0);
  backlog.set_done(kept + 1);
  EXPECT_EQ(backlog.size(), 0U);
  backlog.save(*state_, false);
  state_->commit();
  EXPECT_FALSE(next().lacks_some());
}

// While the disk does not answer, the number of waiting events stays bounded, however often
// forward() is called.
TEST_F(JournalBacklogTest, WhatDoesNotFitIsOneLostEventAtATime) {
  JournalBacklog backlog(kEvent, kDone, 2000);
  auto recorder = record();
  const auto turn = [&](int32_t pid) {
    add(backlog, pid);
    backlog.save(*state_, false);
    state_->commit();
    backlog.forward(*recorder);
  };
  int32_t pid = 0;
  while (backlog.size() == static_cast<size_t>(pid)) turn(++pid);
  const size_t kept = backlog.size();
  while (pid < 100) turn(++pid);
  EXPECT_EQ(backlog.size(), kept);
  EXPECT_EQ(recorder->status().lost_queue, 101 - kept);
  recorder->flush();
  backlog.set_done(kept);
  turn(++pid);
  EXPECT_EQ(backlog.size(), 1U) << "one lost event counts the rest";
  recorder->flush();
  EXPECT_EQ(written().size(), kept + 1);
}

TEST_F(JournalBacklogTest, DamagedRecordsAreIgnored) {
  JournalBacklog backlog(kEvent, kDone, kMost);
  add(backlog, 1);
  backlog.save(*state_, false);
  state_->commit();
  JournalBacklog again(kEvent, kDone, kMost);
  EXPECT_TRUE(state_->read([&](uint32_t kind, std::string_view payload) {
    for (size_t size = 0; size < payload.size(); ++size)
      again.restore(kind, payload.substr(0, size));
  }));
  EXPECT_EQ(again.size(), 0U);
  EXPECT_TRUE(again.lacks_some());
}

}  // namespace
}  // namespace knell::daemon
