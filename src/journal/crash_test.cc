// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Kills a writer of a journal at its first, second, third, ... system call that changes a file,
// until the writer runs to its end. After each kill the journal must have every event that was
// committed. The same with a loss of power: then each file has the content of its last fsync(2).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "base/unique_fd.h"
#include "journal/crash_for_test.h"
#include "journal/store_for_test.h"

namespace knell::journal {
namespace {

namespace fs = std::filesystem;

// The files on disk: the content of each file at its last sync.
class Disk {
 public:
  void on_sync(const fs::path& file) {
    std::ifstream content(file, std::ios::binary);
    synced_[file] = std::string(std::istreambuf_iterator<char>(content), {});
  }
  // Removes unsynced content and the index of the WAL, which is rebuilt.
  void lose_power(const fs::path& folder) const {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const auto synced = synced_.find(entry.path());
      if (synced == synced_.end())
        fs::resize_file(entry.path(), 0);
      else
        std::ofstream(entry.path(), std::ios::binary) << synced->second;
    }
  }

 private:
  std::map<fs::path, std::string> synced_;
};

class CrashTest : public ::testing::Test {
 protected:
  StoreOptions options() {
    return {.path = folder_->file("journal.db"),
            .sync = sync_,
            .most_bytes = 96 << 10,
            .checkpoint_bytes = 48 << 10,
            .most_wal_bytes = 1 << 20};
  }
  // Writes until event 600, and reports each commit by writing its last pid to `commits`.
  static void write_events(const StoreOptions& options, int commits) {
    auto store = Store::open(options);
    if (!store || !store->put({.name = "n", .owner = 1, .mask = KNELL_EVENT_EXIT})) ::_exit(1);
    for (int pid = 1; pid <= 600; ++pid) {
      if (!store->append(exit_event(pid))) ::_exit(2);
      if (pid % 60 != 0) continue;
      if (!store->acknowledge(1, "n", pid - 30) || !store->commit()) ::_exit(3);
      if (::write(commits, &pid, sizeof pid) != sizeof pid) ::_exit(4);
    }
  }
  // The events in the journal must be consecutive, correct, and reach at least to `committed`.
  void check(int committed) {
    Store::Replacement replacement;
    auto store = Store::open(options(), system_clock(), replacement);
    ASSERT_TRUE(store) << store.error().message();
    EXPECT_TRUE(damaged_before_ || replacement.moved_to.empty());
    const int64_t before = damaged_before_ ? 1 : 0;  // the lost event
    auto reader = Reader::open(options().path);
    ASSERT_TRUE(reader) << reader.error().message();
    const auto all = read_all(*reader, every_);
    ASSERT_TRUE(all) << all.error().message();
    const int64_t last = all->empty() ? 0 : all->back().seq - before;
    EXPECT_GE(last, committed);
    EXPECT_EQ(last % 60, 0) << "the journal has a part of a transaction";
    for (size_t i = 0; i < all->size(); ++i) {
      const Seen& one = (*all)[i];
      if (one.seq <= before) {
        EXPECT_EQ(one.type, KNELL_EVENT_LOST);
        continue;
      }
      ASSERT_EQ(one.type, KNELL_EVENT_EXIT);
      EXPECT_EQ(one.seq, one.pid + before);
      EXPECT_EQ(one.comm, "grep");
      EXPECT_EQ(one.seq, all->front().seq + static_cast<int64_t>(i));
    }
    // The acknowledgement belongs to the same commit.
    const DurableName* name = store->names().find(1, "n");
    EXPECT_EQ(name == nullptr, last == 0);
    if (name != nullptr) {
      EXPECT_EQ(name->acked, last - 30);
    }
    // The next events follow without a gap.
    EXPECT_EQ(store->next_seq(), last + 1 + before);
    ASSERT_TRUE(store->append(exit_event(static_cast<int32_t>(last) + 1)));
    ASSERT_TRUE(store->commit());
  }
  // Kills at every call; `prepare` creates the folder for the writer.
  void kill_everywhere(const std::function<void()>& prepare) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE("call " + std::to_string(n));
      folder_ = std::make_unique<TemporaryFolder>("/dev/shm");
      prepare();
      int ends[2];
      ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
      const UniqueFd read_end(ends[0]), write_end(ends[1]);
      Disk disk;
      const Outcome outcome = run_until(
          n, [&] { write_events(options(), write_end.get()); },
          [&](const fs::path& file) { disk.on_sync(file); });
      if (outcome == Outcome::kCannotTrace) GTEST_SKIP() << "ptrace(2) is not allowed here";
      int committed = 0;
      for (int pid = 0; ::read(read_end.get(), &pid, sizeof pid) == sizeof pid;) committed = pid;
      if (power_fails_) disk.lose_power(folder_->path());
      check(sync_ == Sync::kAlways || !power_fails_ ? committed : 0);
      if (HasFatalFailure()) return;
      if (outcome == Outcome::kFinished) {
        EXPECT_EQ(committed, 600);
        EXPECT_GT(n, 60) << "too few calls were traced";
        return;
      }
    }
  }

  std::unique_ptr<TemporaryFolder> folder_;
  EveryEvent every_;
  Sync sync_ = Sync::kProcess;
  bool power_fails_ = false;
  bool damaged_before_ = false;  // the file was damaged before the writer opened it
};

TEST_F(CrashTest, KeepsEveryCommitFromTheFirstCallOn) {
  kill_everywhere([] {});
}

TEST_F(CrashTest, WithSyncAlwaysKeepsEveryCommitWhenPowerFails) {
  sync_ = Sync::kAlways;
  power_fails_ = true;
  kill_everywhere([] {});
}

// The last commits may be lost, but no commit before one that is kept.
TEST_F(CrashTest, WithSyncProcessKeepsThePastWhenPowerFails) {
  power_fails_ = true;
  kill_everywhere([] {});
}

// A file to which nothing can be saved is moved aside, at whatever step this is interrupted.
TEST_F(CrashTest, MovesADamagedFileAsideAtAnyCall) {
  damaged_before_ = true;
  kill_everywhere([&] {
    {
      auto store = Store::open(options());
      ASSERT_TRUE(store);
      ASSERT_TRUE(store->append(exit_event(5)));
      ASSERT_TRUE(store->commit());
    }
    std::ofstream(options().path) << std::string(20'000, 'x');
  });
}

// The data is in the WAL only. Either nothing has changed, or the new journal has the lost event
// and the durable listener, and the file that was moved aside is complete.
TEST_F(CrashTest, ReplacesAFileAtAnyCall) {
  const TemporaryFolder origin;
  auto writer = Store::open({.path = origin.file("journal.db")});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->put({.name = "n", .owner = 1, .mask = KNELL_EVENT_EXIT}));
  for (int pid = 1; pid <= 20; ++pid) ASSERT_TRUE(writer->append(exit_event(pid)));
  ASSERT_TRUE(writer->acknowledge(1, "n", 7) && writer->commit());
  const auto events_in = [&](const std::string& path) {
    auto reader = Reader::open(path);
    return reader ? read_all(*reader, every_).value_or(std::vector<Seen>()) : std::vector<Seen>();
  };
  for (int n = 1;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    folder_ = std::make_unique<TemporaryFolder>("/dev/shm");
    for (const char* name : {"journal.db", "journal.db-wal"})
      fs::copy_file(origin.file(name), folder_->file(name));
    const Outcome outcome = run_until(n, [&] {
      Store::Replacement replacement{.why = "it is damaged"};
      if (!Store::open(options(), system_clock(), replacement)) ::_exit(1);
    });
    if (outcome == Outcome::kCannotTrace) GTEST_SKIP() << "ptrace(2) is not allowed here";
    const auto names = read_durable_names(options().path);
    ASSERT_EQ(names.size(), 1U) << "knelld would not store its events from the start";
    auto store = Store::open(options());
    ASSERT_TRUE(store) << store.error().message();
    const DurableName* name = store->names().find(1, "n");
    ASSERT_NE(name, nullptr);
    const auto events = events_in(options().path);
    std::vector<std::string> moved, unknown;
    for (const auto& entry : fs::directory_iterator(folder_->path())) {
      const std::string file = entry.path().filename();
      if (file.starts_with("journal.db.damaged-") && file.ends_with("Z"))
        moved.push_back(entry.path());
      else if (file.starts_with("journal.db."))
        if (!file.starts_with("journal.db.damaged-")) unknown.push_back(file);
    }
    EXPECT_TRUE(unknown.empty() || moved.empty()) << unknown[0];
    if (store->id() == writer->id()) {
      EXPECT_EQ(events.size(), 20U);
      EXPECT_EQ(name->acked, 7);
      EXPECT_TRUE(moved.empty());
    } else {
      ASSERT_EQ(events.size(), 1U);
      EXPECT_EQ(events[0].type, KNELL_EVENT_LOST);
      EXPECT_FALSE(events[0].lost);
      EXPECT_EQ(name->acked, 0);
      ASSERT_EQ(moved.size(), 1U);
      EXPECT_EQ(events_in(moved[0]).size(), 20U);
    }
    if (HasFailure()) return;
    if (outcome == Outcome::kFinished) {
      EXPECT_NE(store->id(), writer->id());
      EXPECT_GT(n, 20) << "too few calls were traced";
      return;
    }
  }
}

}  // namespace
}  // namespace knell::journal
