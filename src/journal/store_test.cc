// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Store and Reader together: the Reader must return what the Store has written.
#include "journal/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "base/boot_id.h"
#include "base/unique_fd.h"
#include "filter/rule.h"
#include "journal/event_for_test.h"
#include "journal/store_for_test.h"
#include "journal/verify.h"

namespace knell::journal {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDayNs = int64_t{86'400} * 1'000'000'000;

class StoreTest : public ::testing::Test {
 protected:
  StoreOptions options() { return {.path = folder_.file("journal.db")}; }
  Store open() { return open(options()); }
  Store open(const StoreOptions& options) {
    auto store = Store::open(options, clock_, replacement_ = {});
    if (!store) {
      ADD_FAILURE() << store.error().message();
      std::abort();
    }
    return *std::move(store);
  }
  void append(Store& store, int first, int last, int status = 0x100) {
    for (int pid = first; pid <= last; ++pid) {
      const auto done = store.append(exit_event(pid, status));
      ASSERT_TRUE(done) << done.error().message();
    }
  }
  void write(Store& store, int first, int last, int status = 0x100) {
    append(store, first, last, status);
    const auto done = store.commit();
    ASSERT_TRUE(done) << done.error().message();
  }
  std::vector<Seen> read() {
    auto reader = Reader::open(options().path);
    if (!reader) {
      ADD_FAILURE() << reader.error().message();
      return {};
    }
    auto all = read_all(*reader, every_);
    if (all) return *all;
    ADD_FAILURE() << all.error().message();
    return {};
  }
  // Changes the database without the store.
  void execute(const std::string& statement) {
    auto database = Database::open(options().path, Database::Mode::kWrite);
    ASSERT_TRUE(database);
    const auto done = database->execute(statement);
    ASSERT_TRUE(done) << done.error().message();
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  EveryEvent every_;
  Store::Replacement replacement_;  // of the last open()
};

TEST_F(StoreTest, ReadsWhatWasWritten) {
  Store store = open();
  write(store, 1, 3);
  write(store, 4, 200);
  const auto all = read();
  ASSERT_EQ(all.size(), 200U);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(all[static_cast<size_t>(i)].seq, i + 1);
    EXPECT_EQ(all[static_cast<size_t>(i)].pid, i + 1);
    EXPECT_EQ(all[static_cast<size_t>(i)].comm, "grep");
  }
}

TEST_F(StoreTest, ShowsNothingBeforeTheCommit) {
  Store store = open();
  write(store, 1, 3);
  append(store, 4, 9);
  EXPECT_EQ(read().size(), 3U);
}

TEST_F(StoreTest, GoesOnAfterARestart) {
  std::string id;
  {
    Store store = open();
    id = store.id();
    write(store, 1, 100);
  }
  Store store = open();
  EXPECT_EQ(store.id(), id);
  EXPECT_EQ(replacement_.moved_to, "");
  EXPECT_EQ(store.next_seq(), 101);
  write(store, 101, 150);
  const auto all = read();
  ASSERT_EQ(all.size(), 150U);
  EXPECT_EQ(all.back().seq, 150);
}

TEST_F(StoreTest, AReaderFollowsTheNewestBlock) {
  Store store = open();
  write(store, 1, 2);
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read_all(*reader, every_)->size(), 2U);
  write(store, 3, 3);
  EXPECT_EQ(read_all(*reader, every_)->size(), 1U);
  write(store, 4, 300);
  const auto rest = read_all(*reader, every_, 7);
  ASSERT_EQ(rest->size(), 297U);
  EXPECT_EQ(rest->front().seq, 4);
  EXPECT_FALSE(rest->front().lost);
}

// A reader stops in the middle of the newest block, which then grows and is followed by other
// blocks.
TEST_F(StoreTest, AReaderLosesNothingWhenItsBlockGrows) {
  Store store = open();
  write(store, 1, 10);
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  std::vector<knell_event> some(4);
  ASSERT_EQ(reader->read(some, every_)->count, 4U);
  write(store, 11, 500);
  const auto rest = read_all(*reader, every_);
  ASSERT_EQ(rest->size(), 496U);
  for (const Seen& one : *rest) EXPECT_EQ(one.type, KNELL_EVENT_EXIT);
}

TEST_F(StoreTest, RefusesASecondWriter) {
  Store store = open();
  const auto second = Store::open(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
}

TEST_F(StoreTest, FilesHaveTheModeAndStayAfterAClose) {
  {
    Store store = open();
    write(store, 1, 3);
  }
  for (const char* part : {"", "-wal", "-shm"}) {
    struct stat about{};
    ASSERT_EQ(::stat((options().path + part).c_str(), &about), 0) << part;
    EXPECT_EQ(about.st_mode & 0777, 0640U) << part;
  }
}

TEST_F(StoreTest, KeepsTheLimitOfBytes) {
  StoreOptions small = options();
  small.most_bytes = 256 << 10;
  Store store = open(small);
  for (int i = 0; i < 60; ++i) write(store, i * 100 + 1, i * 100 + 100);
  EXPECT_LE(store.bytes(), small.most_bytes + 16'384);
  EXPECT_GT(store.bytes(), small.most_bytes / 2);
  const auto all = read();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front().seq, store.oldest_seq());
  EXPECT_GT(all.front().seq, 1);
  EXPECT_EQ(all.back().seq, 6000);
  EXPECT_EQ(all.back().seq - all.front().seq + 1, static_cast<int64_t>(all.size()));
}

TEST_F(StoreTest, KeepsTheLimitOfAge) {
  StoreOptions young = options();
  young.most_age_ns = 600'000'000'000;
  clock_.epoch_ns = kEpochNs;
  Store store = open(young);
  write(store, 1, 100);
  clock_.now_ns = 1'000'000'000'000;
  write(store, 900'000, 900'010);
  const auto all = read();
  ASSERT_EQ(all.size(), 11U);
  EXPECT_EQ(all.front().seq, 101);
}

TEST_F(StoreTest, DeletesNothingBecauseTheClockWasSetForward) {
  StoreOptions young = options();
  young.most_age_ns = 600'000'000'000;
  clock_.epoch_ns = kEpochNs;
  Store store = open(young);
  write(store, 1, 100);
  clock_.epoch_ns += 365 * kDayNs;
  write(store, 101, 200);
  EXPECT_EQ(read().size(), 200U);
  clock_.epoch_ns = kEpochNs;
  write(store, 201, 300);
  EXPECT_EQ(read().size(), 300U);
}

// A machine without a real-time clock starts with a time in the past, until its clock is set.
TEST_F(StoreTest, DeletesNothingBecauseTheClockWasBehind) {
  StoreOptions young = options();
  young.most_age_ns = 600'000'000'000;
  clock_.epoch_ns = kEpochNs;
  Store store = open(young);
  const auto write_one = [&](int pid, int64_t behind_ns) {
    knell_event event = exit_event(pid);
    event.id.boot = boot_number();
    event.time_ns -= behind_ns;
    ASSERT_TRUE(store.append(event) && store.commit());
  };
  write_one(1, 365 * kDayNs);
  write_one(2, 0);
  write_one(100'000, 0);  // in another block
  EXPECT_EQ(read().size(), 3U);
  clock_.now_ns = exit_event(1).mono_ns + 600'000'000'001;
  write_one(200'000, 0);
  EXPECT_EQ(read().front().pid, 2);
}

TEST_F(StoreTest, DeletesStringsThatNoBlockUses) {
  StoreOptions small = options();
  small.most_bytes = 128 << 10;
  {
    Store store = open(small);
    write(store, 1, 50);
  }
  Store store = open(small);
  for (int i = 1; i < 60; ++i) write(store, i * 100 + 1, i * 100 + 100);
  auto database = Database::open(small.path, Database::Mode::kRead);
  ASSERT_TRUE(database);
  EXPECT_EQ(*database->number("SELECT min(id) FROM string"),
            *database->number("SELECT text_base FROM block ORDER BY first_seq LIMIT 1"));
}

// The retention deletes the event at the reader's position.
TEST_F(StoreTest, TellsWhatWasDeletedBehindAReader) {
  StoreOptions small = options();
  small.most_bytes = 128 << 10;
  Store store = open(small);
  write(store, 1, 100);
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  reader->seek(5);
  for (int i = 1; i < 60; ++i) write(store, i * 100 + 1, i * 100 + 100);
  const auto all = read_all(*reader, every_);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->front().type, KNELL_EVENT_LOST);
  EXPECT_EQ(all->front().lost, static_cast<uint64_t>(store.oldest_seq() - 5));
  EXPECT_EQ(all->front().seq, 5);
  EXPECT_EQ((*all)[1].seq, store.oldest_seq());
}

// --------------------------------------------------------------------------------------- windows

class Failures final : public EventFilter {
 public:
  bool may_want(const Record& record) override {
    return filter::passes(filter::Rule::kReleased, KNELL_EVENT_NONZERO_EXIT, record.type,
                          record.nonzero ? 1 : 0);
  }
  bool wants(knell_event& event) override { return event.wait_status != 0; }
};

TEST_F(StoreTest, ReadsAWindowOfTime) {
  Store store = open();
  for (int i = 0; i < 20; ++i) write(store, i * 10'000 + 1, i * 10'000 + 10);  // 10 s apart
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  const int64_t since = exit_event(100'001).time_ns, until = exit_event(150'005).time_ns;
  ASSERT_TRUE(reader->set_window(since, until));
  const auto some = read_all(*reader, every_);
  ASSERT_EQ(some->size(), 55U);
  EXPECT_EQ(some->front().pid, 100'001);
  EXPECT_EQ(some->back().pid, 150'005);
}

TEST_F(StoreTest, AWindowAfterTheLastEventIsEmptyUntilOneFollows) {
  Store store = open();
  write(store, 1, 100);
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(reader->set_window(exit_event(900'000).time_ns, INT64_MAX));
  EXPECT_TRUE(read_all(*reader, every_)->empty());
  write(store, 900'000, 900'001);
  const auto some = read_all(*reader, every_);
  ASSERT_EQ(some->size(), 2U);
  EXPECT_EQ(some->front().type, KNELL_EVENT_EXIT);
}

TEST_F(StoreTest, FindsEventsFromBeforeTheClockWasSetBack) {
  Store store = open();
  write(store, 500'000, 500'050);
  write(store, 100'000, 100'050);  // 400 s earlier
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(reader->set_window(exit_event(500'000).time_ns, INT64_MAX));
  EXPECT_EQ(read_all(*reader, every_)->size(), 51U);
  ASSERT_TRUE(reader->set_window(exit_event(100'000).time_ns, exit_event(100'050).time_ns));
  EXPECT_EQ(read_all(*reader, every_)->size(), 51U);
}

TEST_F(StoreTest, FindsTheLastEventsThatAreWanted) {
  Store store = open();
  write(store, 1, 200, 0x100);
  write(store, 201, 900, 0);
  write(store, 901, 902, 0x200);
  write(store, 903, 990, 0);
  auto reader = Reader::open(options().path);
  ASSERT_TRUE(reader);
  Failures failures;
  ASSERT_TRUE(reader->seek_last(5, failures));
  const auto some = read_all(*reader, failures);
  ASSERT_EQ(some->size(), 5U);
  EXPECT_EQ(some->front().pid, 198);
  EXPECT_EQ(some->back().pid, 902);
  ASSERT_TRUE(reader->set_window(exit_event(1).time_ns, INT64_MAX));
  ASSERT_TRUE(reader->seek_last(1000, failures));
  EXPECT_EQ(read_all(*reader, failures)->size(), 202U);
}

// ------------------------------------------------------------------------------------------- WAL

TEST_F(StoreTest, AReaderThatPausesDoesNotKeepTheWal) {
  StoreOptions small = options();
  small.checkpoint_bytes = 64 << 10;
  Store store = open(small);
  write(store, 1, 100);
  auto reader = Reader::open(small.path);
  ASSERT_TRUE(reader);
  std::vector<knell_event> some(10);
  ASSERT_TRUE(reader->read(some, every_));  // in the middle of a block
  for (int i = 1; i < 300; ++i) write(store, i * 100 + 1, i * 100 + 100);
  EXPECT_LT(fs::file_size(small.path + "-wal"), 8 * small.checkpoint_bytes);
  EXPECT_EQ(read_all(*reader, every_)->size(), 29'990U);
}

// A program that keeps a transaction open makes the WAL grow, up to the limit.
TEST_F(StoreTest, TheWalIsBoundedWhateverReadersDo) {
  StoreOptions small = options();
  small.checkpoint_bytes = 64 << 10;
  small.most_wal_bytes = 512 << 10;
  Store store = open(small);
  write(store, 1, 100);
  auto database = Database::open(small.path, Database::Mode::kRead);
  ASSERT_TRUE(database);
  auto held = database->prepare("SELECT first_seq FROM block");
  ASSERT_TRUE(*held->step());
  Result<void> written;
  int pid = 100;
  while (written && pid < 100'000) {
    for (int i = 0; i < 100 && written; ++i) written = store.append(exit_event(++pid));
    if (written) written = store.commit();
  }
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EBUSY);
  EXPECT_LT(fs::file_size(small.path + "-wal"), small.most_wal_bytes + (64 << 10));
  held->reset();
  write(store, pid, pid + 10);
  EXPECT_EQ(read().back().pid, pid + 10);
}

// ---------------------------------------------------------------------------------------- states

// The same steps as for later versions: version 0 has no tables.
TEST_F(StoreTest, MigratesAnOlderVersion) {
  std::ofstream(options().path).close();
  execute("PRAGMA application_id=" + std::to_string(kApplicationId));
  execute("CREATE TABLE earlier (x)");
  Store store = open();
  EXPECT_EQ(replacement_.moved_to, "");
  write(store, 1, 3);
  EXPECT_EQ(read().size(), 3U);
  execute("SELECT x FROM earlier");
}

TEST_F(StoreTest, AReaderSaysWhatIsWrong) {
  const auto code = [&] {
    const auto reader = Reader::open(options().path);
    return reader ? 0 : reader.error().code;
  };
  EXPECT_EQ(code(), ENOENT);
  std::ofstream(options().path).close();
  EXPECT_EQ(code(), ENODATA);
  std::ofstream(options().path) << std::string(10'000, 'x');
  EXPECT_EQ(code(), EBADMSG);
  fs::remove(options().path);
  {
    Store store = open();
  }
  EXPECT_EQ(code(), 0);
  EXPECT_TRUE(read().empty());
  execute("PRAGMA user_version=99");
  EXPECT_EQ(code(), ENOTSUP);
  execute("PRAGMA application_id=1");
  EXPECT_EQ(code(), EBADMSG);
  fs::remove(options().path);
  std::ofstream(options().path).close();
  execute("CREATE TABLE bookmarks (url TEXT)");
  EXPECT_EQ(code(), EEXIST);
}

TEST_F(StoreTest, MovesALaterVersionAside) {
  {
    Store store = open();
    write(store, 1, 3);
    ASSERT_TRUE(store.put({.name = "n", .owner = 1, .mask = KNELL_EVENT_EXIT, .acked = 2}));
    ASSERT_TRUE(store.commit());
  }
  execute("PRAGMA user_version=99");
  Store store = open();
  EXPECT_THAT(replacement_.moved_to, testing::HasSubstr(".newer-"));
  EXPECT_TRUE(fs::exists(replacement_.moved_to));
  EXPECT_EQ(store.next_seq(), 2);
  write(store, 1, 2);
  const auto all = read();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].type, KNELL_EVENT_LOST);
  EXPECT_FALSE(all[0].lost);
  const DurableName* name = store.names().find(1, "n");
  ASSERT_NE(name, nullptr);
  EXPECT_EQ(name->acked, 0);
  EXPECT_EQ(name->pending, 3U);
}

TEST_F(StoreTest, LeavesTheDatabaseOfAnotherProgramAlone) {
  std::ofstream(options().path).close();
  execute("CREATE TABLE bookmarks (url TEXT)");
  const auto store = Store::open(options());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, EEXIST);
  execute("SELECT url FROM bookmarks");
}

TEST_F(StoreTest, MovesADamagedFileAside) {
  std::string id;
  {
    Store store = open();
    id = store.id();
    write(store, 1, 3);
  }
  std::ofstream(options().path) << std::string(10'000, 'x');
  fs::resize_file(options().path + "-wal", 0);
  Store store = open();
  EXPECT_THAT(replacement_.moved_to, testing::HasSubstr(".damaged-"));
  EXPECT_NE(store.id(), id);
  write(store, 7, 9);
  EXPECT_EQ(read().size(), 4U) << "a lost event, and three others";
}

// Damage that was detected while the file was in use, and that open() may not detect.
TEST_F(StoreTest, MovesAsideWhatItIsTold) {
  {
    Store store = open();
    write(store, 1, 3);
  }
  replacement_ = {.why = "it is damaged"};
  auto store = Store::open(options(), clock_, replacement_);
  ASSERT_TRUE(store);
  EXPECT_THAT(replacement_.moved_to, testing::HasSubstr(".damaged-"));
  EXPECT_EQ(replacement_.why, "it is damaged");
  EXPECT_EQ(store->next_seq(), 2);
}

TEST_F(StoreTest, TellsADamagedBlock) {
  Store store = open();
  for (int i = 0; i < 10; ++i) write(store, i * 100 + 1, i * 100 + 100);
  auto database = Database::open(options().path, Database::Mode::kRead);
  ASSERT_TRUE(database);
  const int64_t second = *database->number("SELECT first_seq FROM block LIMIT 1 OFFSET 1");
  const int64_t count = *database->number("SELECT count FROM block LIMIT 1 OFFSET 1");
  *database = Database();
  execute("UPDATE block SET first_ns=first_ns+1 WHERE first_seq=" + std::to_string(second));
  const auto all = read();
  EXPECT_EQ(all.size(), static_cast<size_t>(1000 - count + 1));
  const auto lost = std::ranges::find(all, uint32_t{KNELL_EVENT_LOST}, &Seen::type);
  ASSERT_NE(lost, all.end());
  EXPECT_EQ(lost->seq, second);
  EXPECT_EQ(lost->lost, static_cast<uint64_t>(count));
}

TEST_F(StoreTest, TellsADamagedText) {
  Store store = open();
  write(store, 1, 30);
  execute("UPDATE string SET text='hidden' WHERE text=CAST('grep' AS BLOB)");
  const auto all = read();
  ASSERT_EQ(all.size(), 30U);
  EXPECT_EQ(all[0].comm, "grep");  // the name is in the record
  EXPECT_EQ(all[1].type, KNELL_EVENT_LOST);
  EXPECT_EQ(all[1].lost, 1U);
}

TEST_F(StoreTest, VerifyFindsWhatIsDamaged) {
  Store store = open();
  write(store, 1, 500);
  const auto intact = verify(options().path);
  ASSERT_TRUE(intact);
  EXPECT_TRUE(intact->problems.empty());
  EXPECT_EQ(intact->events, 500);
  EXPECT_EQ(intact->oldest_seq, 1);
  EXPECT_EQ(intact->newest_seq, 500);
  EXPECT_EQ(intact->id, store.id());

  execute("UPDATE block SET count=count+1 WHERE first_seq=1");
  const auto damaged = verify(options().path);
  ASSERT_TRUE(damaged);
  ASSERT_EQ(damaged->problems.size(), 1U);
  EXPECT_EQ(damaged->problems[0], "the block at seq 1 is damaged");

  execute("DELETE FROM block WHERE first_seq=(SELECT first_seq FROM block LIMIT 1 OFFSET 2)");
  const auto missing = verify(options().path);
  ASSERT_TRUE(missing);
  ASSERT_EQ(missing->problems.size(), 2U);
  EXPECT_THAT(missing->problems[1], ::testing::HasSubstr("are missing"));

  execute("DELETE FROM string WHERE text=CAST('grep' AS BLOB)");
  const auto without_text = verify(options().path);
  ASSERT_TRUE(without_text);
  EXPECT_THAT(without_text->problems[1], ::testing::StartsWith("the event with seq "));
  EXPECT_EQ(without_text->problems.size(), Verification::kMostProblems);
}

// ---------------------------------------------------------------------------------------- readers

// Reads as a user who may only read the file: uid 65534 in its group.
class GroupReaderTest : public StoreTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    ASSERT_EQ(::chown(folder_.path().c_str(), 0, kGroup), 0);
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0750), 0);
  }
  // The number of events that the reader gets; -1: it fails.
  int read_as_member() { return read_as(kGroup); }
  int read_as(gid_t group) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
    const UniqueFd from(ends[0]), to(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgroups(0, nullptr) != 0 || ::setgid(group) != 0 || ::setuid(65534) != 0) ::_exit(2);
      auto reader = Reader::open(options().path);
      const auto all = reader ? read_all(*reader, every_)
                              : Result<std::vector<Seen>>(std::unexpected(reader.error()));
      const int count = all ? static_cast<int>(all->size()) : -all.error().code;
      ::_exit(::write(to.get(), &count, sizeof count) == sizeof count ? 0 : 1);
    }
    int status = 0, count = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(::read(from.get(), &count, sizeof count), static_cast<ssize_t>(sizeof count));
    return count;
  }
  static constexpr gid_t kGroup = 54321;
};

TEST_F(GroupReaderTest, ReadsWhileTheWriterRuns) {
  Store store = open();
  write(store, 1, 50);
  EXPECT_EQ(read_as_member(), 50);
  EXPECT_EQ(read_as(65534), -EACCES);
}

TEST_F(GroupReaderTest, ReadsAfterTheWriterHasClosed) {
  {
    Store store = open();
    write(store, 1, 50);
  }
  EXPECT_EQ(read_as_member(), 50);
}

TEST_F(GroupReaderTest, ReadsAfterTheWriterWasKilled) {
  const pid_t child = ::fork();
  if (child == 0) {
    Store store = open();
    write(store, 1, 50);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read_as_member(), 50);
}

TEST_F(GroupReaderTest, ReadsWithoutAnIndexOfTheWal) {
  {
    Store store = open();
    write(store, 1, 50);
  }
  const std::string index = options().path + "-shm";
  const auto size = fs::file_size(index);
  fs::resize_file(index, 0);
  EXPECT_EQ(read_as_member(), 50);
  fs::resize_file(index, size);  // all zeros
  EXPECT_EQ(read_as_member(), 50);
}

}  // namespace
}  // namespace knell::journal
