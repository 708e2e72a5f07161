// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <numeric>
#include <semaphore>
#include <string>
#include <vector>

#include "journal/event_queue.h"
#include "journal/store_for_test.h"

namespace knell::journal {
namespace {

using ::testing::HasSubstr;

TEST(EventQueue, CopiesEventsWithTheirTexts) {
  EventQueue queue(1 << 20);
  for (int pid = 1; pid <= 100; ++pid) queue.push(exit_event(pid));
  int pid = 0;
  queue.for_each([&](const knell_event& event) {
    EXPECT_TRUE(same(event, exit_event(++pid)));
    EXPECT_NE(event.args.data, exit_event(pid).args.data);
    return true;
  });
  EXPECT_EQ(pid, 100);
}

TEST(EventQueue, CountsWhatDoesNotFitUntilItIsCleared) {
  EventQueue queue(4096);
  for (int pid = 1; pid <= 100; ++pid) queue.push(exit_event(pid));
  knell_event small{};
  small.type = KNELL_EVENT_EXEC;
  queue.push(small);  // would fit in the queue
  std::vector<knell_event> events;
  queue.for_each([&](const knell_event& event) {
    events.push_back(event);
    return true;
  });
  ASSERT_EQ(events.back().type, KNELL_EVENT_LOST);
  EXPECT_EQ(events.back().lost_count + events.size() - 1, 101U);
  EXPECT_EQ(events.back().lost_types,
            KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_EXEC);
  EXPECT_EQ(events.back().flags, KNELL_FLAG_EXACT);
  queue.clear();
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, ALossWithoutACountMakesTheHoleUncounted) {
  EventQueue queue(1);
  knell_event lost{};
  lost.type = KNELL_EVENT_LOST;
  queue.push(lost);
  queue.push(exit_event(1));
  EXPECT_EQ(queue.hole().event().has & KNELL_HAS_COUNT, 0U);
}

class RecorderTest : public ::testing::Test {
 protected:
  void start(const RecorderOptions& options) {
    recorder_ = std::make_unique<Recorder>(
        options, [this](const std::string& line) { said_ += line + "\n"; }, clock_);
  }
  RecorderOptions options() {
    RecorderOptions options;
    options.store.path = folder_.file("sub/journal.db");
    options.latency_ns = 1'000'000;
    return options;
  }
  void make_folder() { std::filesystem::create_directory(folder_.file("sub")); }
  void add(int first, int last) {
    for (int pid = first; pid <= last; ++pid) recorder_->add(exit_event(pid));
  }
  std::vector<Seen> read() {
    auto reader = Reader::open(options().store.path);
    EveryEvent every;
    if (!reader) return {};
    return read_all(*reader, every).value_or(std::vector<Seen>());
  }
  // The number of events that were read, plus the counts of the lost events.
  static uint64_t total(const std::vector<Seen>& all) {
    return std::accumulate(all.begin(), all.end(), uint64_t{0}, [](uint64_t sum, const Seen& one) {
      return sum + (one.type == KNELL_EVENT_LOST ? one.lost.value_or(0) : 1);
    });
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  std::string said_;  // set by the thread: read it after flush()
  std::unique_ptr<Recorder> recorder_;
};

TEST_F(RecorderTest, WritesWhatIsAdded) {
  make_folder();
  start(options());
  add(1, 1000);
  recorder_->flush();
  EXPECT_EQ(read().size(), 1000U);
  const Recorder::Status status = recorder_->status();
  EXPECT_EQ(status.state, Recorder::State::kWorking);
  EXPECT_EQ(status.written, 1000U);
  EXPECT_EQ(status.next_seq, 1001);
  EXPECT_EQ(said_, "");
}

TEST_F(RecorderTest, WritesTheRestAtTheEnd) {
  make_folder();
  start(options());
  add(1, 10);
  recorder_.reset();
  EXPECT_EQ(read().size(), 10U);
}

TEST_F(RecorderTest, CountsWhatAFullQueueDrops) {
  make_folder();
  RecorderOptions small = options();
  small.queue_bytes = 64 << 10;
  start(small);
  add(1, 5000);
  recorder_->flush();
  const auto all = read();
  EXPECT_EQ(total(all), 5000U);
  const Recorder::Status status = recorder_->status();
  EXPECT_GT(status.lost_queue, 0U);
  EXPECT_EQ(status.written - 1, 5000 - status.lost_queue + (total(all) - 5000));
}

TEST_F(RecorderTest, KeepsEventsUntilTheJournalCanBeOpened) {
  start(options());
  add(1, 10);
  recorder_->flush();
  Recorder::Status status = recorder_->status();
  EXPECT_EQ(status.state, Recorder::State::kFailing);
  EXPECT_THAT(status.problem, HasSubstr("No such file"));
  EXPECT_GT(status.queued_bytes, 0U);
  EXPECT_THAT(said_, HasSubstr("events wait, at most 16 MiB"));
  make_folder();
  clock_.now_ns += 2'000'000'000;
  add(11, 12);
  recorder_->flush();
  const auto all = read();
  ASSERT_EQ(all.size(), 12U);
  EXPECT_EQ(all[0].pid, 1);
  EXPECT_EQ(all[11].pid, 12);
  status = recorder_->status();
  EXPECT_EQ(status.state, Recorder::State::kWorking);
  EXPECT_EQ(status.written, 12U);
  EXPECT_EQ(status.lost_disk + status.lost_queue + status.queued_bytes, 0U);
  EXPECT_THAT(said_, HasSubstr("work again"));
}

TEST_F(RecorderTest, CountsWhatDoesNotFitWhileWritesFail) {
  RecorderOptions small = options();
  small.queue_bytes = 16 << 10;
  start(small);
  add(1, 5);
  recorder_->flush();
  add(6, 1000);
  recorder_->flush();
  EXPECT_GT(recorder_->status().lost_disk, 900U);
  EXPECT_EQ(recorder_->status().lost_queue, 0U);
  make_folder();
  clock_.now_ns += 2'000'000'000;
  recorder_->flush();
  const auto all = read();
  EXPECT_EQ(total(all), 1000U);
  EXPECT_EQ(all.back().type, KNELL_EVENT_LOST);
  EXPECT_EQ(all.back().lost, recorder_->status().lost_disk);
  EXPECT_EQ(all[4].pid, 5);
  EXPECT_EQ(all[5].pid, 6);
}

// No event and no request wakes the thread.
TEST_F(RecorderTest, TriesAgainByItself) {
  std::counting_semaphore<> rounds(0);
  recorder_ = std::make_unique<Recorder>(
      options(), [](const std::string&) {}, system_clock(), [&] { rounds.release(); });
  add(1, 10);
  recorder_->flush();
  ASSERT_EQ(recorder_->status().state, Recorder::State::kFailing);
  make_folder();
  while (recorder_->status().state != Recorder::State::kWorking)
    ASSERT_TRUE(rounds.try_acquire_for(std::chrono::seconds(120)));
  EXPECT_EQ(read().size(), 10U);
}

TEST_F(RecorderTest, BeginsANewJournalWhenTheFileIsDamaged) {
  make_folder();
  start(options());
  add(1, 10);
  recorder_->flush();
  const std::string id = recorder_->status().id;
  auto database = Database::open(options().store.path, Database::Mode::kWrite);
  ASSERT_TRUE(database->execute("DROP TABLE block"));
  add(11, 20);
  recorder_->flush();
  add(21, 30);
  recorder_->flush();
  EXPECT_NE(recorder_->status().id, id);
  EXPECT_EQ(recorder_->status().state, Recorder::State::kWorking);
  EXPECT_THAT(said_, HasSubstr(".damaged-"));
  const auto all = read();
  ASSERT_EQ(all.size(), 21U);
  EXPECT_EQ(all[0].type, KNELL_EVENT_LOST);
  EXPECT_FALSE(all[0].lost);
  EXPECT_EQ(all[1].pid, 11);
}

TEST_F(RecorderTest, ARequestForAReplacedJournalDoesNotChangeTheNewOne) {
  make_folder();
  start(options());
  recorder_->request({.token = 1,
                      .what = Attach{.wanted = {.name = "n", .owner = 1, .mask = KNELL_EVENT_EXIT},
                                     .most_of_account = 1}});
  add(1, 200);
  recorder_->flush();
  const std::string id = recorder_->status().id;
  auto database = Database::open(options().store.path, Database::Mode::kWrite);
  ASSERT_TRUE(database->execute("DROP TABLE block"));
  add(201, 201);
  recorder_->flush();
  ASSERT_EQ(recorder_->status().state, Recorder::State::kFailing);
  add(202, 400);
  recorder_->request(
      {.token = 2, .what = Acknowledge{.journal = id, .owner = 1, .name = "n", .seq = 100}});
  recorder_->request(
      {.token = 0,
       .what = Note{.owner = 1, .name = "n", .journal = id, .delivered = 100, .failed = 2}});
  recorder_->flush();
  const Recorder::Progress progress = recorder_->take_progress();
  EXPECT_NE(progress.id, id);
  ASSERT_EQ(progress.answers.size(), 2U);
  EXPECT_EQ(progress.answers[0].journal, id);
  ASSERT_FALSE(progress.answers[1].row);
  EXPECT_EQ(progress.answers[1].row.error().code, ESTALE);
  ASSERT_EQ(progress.names->size(), 1U);
  EXPECT_EQ(progress.names->front().acked, 0);
  EXPECT_EQ(progress.names->front().delivered, 0);
  EXPECT_EQ(progress.names->front().failed, 2U);
  EXPECT_EQ(progress.names->front().pending, 201U) << "a lost event, and the exits 201 to 400";
}

// Only an insertion reads the index of times.
TEST_F(RecorderTest, BeginsANewJournalWhenOnlyWritesFindTheDamage) {
  make_folder();
  start(options());
  add(1, 10);
  recorder_.reset();
  const std::string path = options().store.path;
  auto database = Database::open(path, Database::Mode::kWrite);
  ASSERT_TRUE(database && database->keep_wal() &&
              database->execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  const int64_t page =
      *database->number("SELECT rootpage FROM sqlite_schema WHERE name='block_first_ns'");
  *database = Database();
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp((page - 1) * 4096);
  file << std::string(4096, 'x') << std::flush;

  start(options());
  add(11, 20);
  recorder_->flush();
  add(21, 30);
  recorder_->flush();
  EXPECT_EQ(recorder_->status().state, Recorder::State::kWorking);
  EXPECT_THAT(said_, HasSubstr(".damaged-"));
  const auto all = read();
  ASSERT_EQ(all.size(), 21U);
  EXPECT_FALSE(all[0].lost);
  EXPECT_EQ(all[1].pid, 11);
}

TEST_F(RecorderTest, MovesFilesAsideMoreAndMoreSlowly) {
  make_folder();
  start(options());
  const auto write = [&] {
    add(1, 1);
    recorder_->flush();
    return recorder_->status().state;
  };
  const auto damage = [&] {
    auto database = Database::open(options().store.path, Database::Mode::kWrite);
    ASSERT_TRUE(database->execute("DROP TABLE block"));
    EXPECT_EQ(write(), Recorder::State::kFailing);
  };
  EXPECT_EQ(write(), Recorder::State::kWorking);
  damage();
  EXPECT_EQ(write(), Recorder::State::kWorking);
  for (const uint64_t seconds : {1U, 2U, 4U}) {
    damage();
    clock_.now_ns += seconds * 1'000'000'000 - 1;
    EXPECT_EQ(write(), Recorder::State::kFailing);
    clock_.now_ns += 1;
    EXPECT_EQ(write(), Recorder::State::kWorking);
  }
  clock_.now_ns += uint64_t{2} * 3600 * 1'000'000'000;
  damage();
  EXPECT_EQ(write(), Recorder::State::kWorking);
}

// While it lives, files have no room to grow, as on a full disk.
class NoRoom {
 public:
  NoRoom() {
    ::signal(SIGXFSZ, SIG_IGN);
    KNELL_CHECK(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit none{.rlim_cur = 4096, .rlim_max = before_.rlim_max};
    KNELL_CHECK(::setrlimit(RLIMIT_FSIZE, &none) == 0);
  }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;
  ~NoRoom() { KNELL_CHECK(::setrlimit(RLIMIT_FSIZE, &before_) == 0); }

 private:
  rlimit before_{};
};

// A full disk has no room for the new journal. knelld is started again meanwhile.
TEST_F(RecorderTest, ADamagedFileStaysUntilThereIsRoomForANewJournal) {
  make_folder();
  start(options());
  recorder_->request({.token = 1,
                      .what = Attach{.wanted = {.name = "n", .owner = 1, .mask = KNELL_EVENT_EXIT},
                                     .most_of_account = 1}});
  add(1, 10);
  recorder_->flush();
  const auto moved = [&] {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.file("sub"))) {
      const std::string name = entry.path().filename();
      files += name.find(".damaged-") != std::string::npos && name.ends_with("Z") ? 1 : 0;
    }
    return files;
  };
  {
    auto database = Database::open(options().store.path, Database::Mode::kWrite);
    ASSERT_TRUE(database->keep_wal() && database->execute("DROP TABLE block"));
  }
  {
    const NoRoom no_room;
    for (int i = 0; i < 4; ++i) {
      add(11, 11);
      recorder_->flush();
      EXPECT_EQ(recorder_->status().state, Recorder::State::kFailing);
      clock_.now_ns += 2'000'000'000;
    }
    EXPECT_EQ(moved(), 0);
    recorder_.reset();
  }
  EXPECT_EQ(moved(), 0);
  EXPECT_EQ(read_durable_names(options().store.path).size(), 1U);
  start(options());
  add(12, 12);
  recorder_->flush();
  EXPECT_EQ(recorder_->status().state, Recorder::State::kWorking);
  EXPECT_EQ(recorder_->status().written, 2U);
  EXPECT_EQ(moved(), 1);
  EXPECT_THAT(said_, HasSubstr("; moved to " + options().store.path + ".damaged-"));
  const auto names = recorder_->take_progress().names;
  ASSERT_EQ(names->size(), 1U);
  EXPECT_EQ(names->front().acked, 0);
  const auto all = read();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].type, KNELL_EVENT_LOST);
  EXPECT_FALSE(all[0].lost);
  EXPECT_EQ(all[1].pid, 12);
}

// The new journal is complete, and then there is no room for its WAL.
TEST_F(RecorderTest, AFileIsMovedAsideOnce) {
  make_folder();
  start(options());
  add(1, 10);
  recorder_->flush();
  recorder_.reset();
  const std::string path = options().store.path, next = path + ".new";
  ASSERT_TRUE(Store::open({.path = next}));
  for (const char* part : {"-wal", "-shm"}) std::filesystem::remove(next + part);
  {
    const NoRoom no_room;
    start(options());
    for (int i = 0; i < 3; ++i) {
      add(11, 11);
      recorder_->flush();
      EXPECT_EQ(recorder_->status().state, Recorder::State::kFailing);
      clock_.now_ns += 2'000'000'000;
    }
  }
  add(12, 12);
  recorder_->flush();
  EXPECT_EQ(recorder_->status().state, Recorder::State::kWorking);
  EXPECT_EQ(read().size(), 4U);
  EXPECT_EQ(said_.find("moved to"), said_.rfind("moved to")) << said_;
  EXPECT_THAT(said_, HasSubstr("was killed while it replaced the journal; moved to "));
}

TEST_F(RecorderTest, GoesOnWhenThereIsRoomAgain) {
  make_folder();
  start(options());
  add(1, 10);
  recorder_->flush();
  {
    const NoRoom no_room;
    add(11, 500);
    recorder_->flush();
  }
  EXPECT_EQ(recorder_->status().state, Recorder::State::kFailing);
  clock_.now_ns += 2'000'000'000;
  add(501, 510);
  recorder_->flush();
  EXPECT_EQ(recorder_->status().state, Recorder::State::kWorking);
  EXPECT_EQ(recorder_->status().lost_disk, 0U);
  const auto all = read();
  ASSERT_EQ(all.size(), 510U);
  EXPECT_EQ(all[509].pid, 510);
}

}  // namespace
}  // namespace knell::journal
