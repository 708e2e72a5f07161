// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Changes each byte of a small journal, one at a time: it is read without the events that are
// damaged, or refused; no event is ever different.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "base/unique_fd.h"
#include "journal/store_for_test.h"

namespace knell::journal {
namespace {

constexpr int kEvents = 200;

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() : folder_("/dev/shm"), path_(folder_.file("journal.db")) {
    StoreOptions options{.path = path_};
    auto store = Store::open(options);
    KNELL_CHECK(store.has_value());
    for (int pid = 1; pid <= kEvents; ++pid)
      KNELL_CHECK(store->append(exit_event(pid, pid % 3 << 8)) &&
                  (pid % 20 != 0 || store->commit()));
  }
  // All in the database, none in the WAL.
  void checkpoint() {
    auto database = Database::open(path_, Database::Mode::kWrite);
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->keep_wal());
    ASSERT_TRUE(database->execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  void flip(const std::string& file, off_t at, unsigned char bits) {
    const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    unsigned char byte = 0;
    ASSERT_EQ(::pread(fd.get(), &byte, 1, at), 1);
    byte ^= bits;
    ASSERT_EQ(::pwrite(fd.get(), &byte, 1, at), 1);
  }
  static std::string content_of(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  struct Found {
    bool refused = false;
    int events = 0;
    bool told = false;  // there was a lost event
  };
  Found read() {
    Found found;
    auto reader = Reader::open(path_);
    if (!reader) return {.refused = true};
    EveryEvent every;
    std::vector<knell_event> events(64);
    for (;;) {
      const auto read = reader->read(events, every);
      if (!read) {
        found.refused = true;
        return found;
      }
      for (size_t i = 0; i < read->count; ++i) {
        const knell_event& e = events[i];
        if (e.type == KNELL_EVENT_LOST) {
          found.told = true;
          continue;
        }
        ++found.events;
        const auto pid = static_cast<int32_t>(e.seq);
        EXPECT_TRUE(pid >= 1 && pid <= kEvents && same(e, exit_event(pid, pid % 3 << 8)))
            << "seq " << e.seq;
      }
      if (read->end) return found;
    }
  }
  void flip_each(const std::string& file) {
    const auto size = static_cast<off_t>(std::filesystem::file_size(file));
    const std::string content = content_of(file);
    int silent = 0;
    for (off_t at = 0; at < size; ++at) {
      // The unused part of a page.
      const auto here = static_cast<size_t>(at);
      constexpr size_t kUnused = 32;
      if (here >= kUnused && content.find_first_not_of('\0', here - kUnused) > here + kUnused)
        continue;
      SCOPED_TRACE("byte " + std::to_string(at));
      const auto bits = static_cast<unsigned char>(1U << (at % 8));
      flip(file, at, bits);
      const Found found = read();
      const bool complete = found.events == kEvents && !found.told;
      silent += !complete && !found.told && !found.refused ? 1 : 0;
      flip(file, at, bits);
      if (HasFailure()) return;
    }
    RecordProperty("silent", silent);
    EXPECT_EQ(read().events, kEvents);
    EXPECT_LT(silent, size / 100);
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(DamageTest, NoByteOfTheFileMakesAWrongEvent) {
  checkpoint();
  flip_each(path_);
}

TEST_F(DamageTest, AWriterGoesOnWhateverByteIsWrong) {
  checkpoint();
  const std::string good = content_of(path_);
  for (size_t at = 0; at < good.size(); at += 61) {  // chosen: a prime, to be quick
    SCOPED_TRACE("byte " + std::to_string(at));
    TemporaryFolder folder("/dev/shm");
    std::string wrong = good;
    wrong[at] = static_cast<char>(wrong[at] ^ (1 << (at % 8)));
    std::ofstream(folder.file("journal.db"), std::ios::binary) << wrong;
    const StoreOptions options{.path = folder.file("journal.db")};
    auto store = Store::open(options);
    ASSERT_TRUE(store) << store.error().message();
    const auto write = [&]() -> Result<void> {
      KNELL_TRY(store->append(exit_event(1)));
      return store->commit();
    };
    if (const auto written = write(); !written) {
      EXPECT_EQ(written.error().code, EBADMSG) << written.error().message();
      store = std::unexpected(written.error());  // closes it
      Store::Replacement replacement{.why = written.error().message()};
      store = Store::open(options, system_clock(), replacement);
      ASSERT_TRUE(store) << store.error().message();
      EXPECT_NE(replacement.moved_to, "");
      EXPECT_TRUE(write());
    }
  }
}

}  // namespace
}  // namespace knell::journal
