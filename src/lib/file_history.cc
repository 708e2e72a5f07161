// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Reads the journal in steps, one transaction for each call. Between two calls no transaction is
// open, since an open transaction would make the WAL grow.
//
// With `follow`, inotify(7) reports writes to the WAL. A commit is complete a moment after its last
// write, so the journal is read again a few milliseconds later. If the file was moved aside, the
// new file at its path is opened.
#include "lib/file_history.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <utility>

#include "base/rollback.h"
#include "journal/cursor.h"

namespace knell::lib {
namespace {

// chosen, not measured: a commit takes less than a millisecond
constexpr uint64_t kSettleNs = 5'000'000;
constexpr uint64_t kPollNs = 1'000'000'000;  // to detect a journal that replaced this one

ino_t inode_of(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? about.st_ino : 0;
}

}  // namespace

Error explained(const Error& error, const std::string& path) {
  if (error.code == ENOENT)
    return {ENOENT,
            path +
                ": there is no journal; knelld writes one, see [journal] in "
                "knelld.toml(5)",
            true};
  if (error.code == EACCES && ::euidaccess(path.c_str(), R_OK) != 0)
    return {EACCES,
            path +
                ": permission denied; root and members of the group of the file may "
                "read it",
            true};
  return error;
}

Result<std::unique_ptr<FileHistory>> FileHistory::create(const std::string& path,
                                                         const knell_history_options& options) {
  const ino_t inode = inode_of(path);
  auto reader = journal::Reader::open(path);
  if (!reader) return std::unexpected(explained(reader.error(), path));
  std::unique_ptr<FileHistory> made(new FileHistory(options, *std::move(reader)));
  made->inode_ = inode;
  KNELL_TRY(made->open());
  return made;
}

FileHistory::FileHistory(const knell_history_options& options, journal::Reader reader)
    : HistoryListener(options), reader_(std::move(reader)) {}

Result<void> FileHistory::open() {
  KNELL_TRY(HistoryListener::open());
  if (options_.follow == 0) return {};
  changes_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes_) return errno_error("watch the journal");
  watch_changes();
  return poll_readable(changes_.get());
}

// If inotify fails, the journal is read every second.
void FileHistory::watch_changes() {
  for (const char* part : {"-wal", ""})
    (void)::inotify_add_watch(changes_.get(), (reader_.path() + part).c_str(),
                              IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF);
}

// Finds the first event to return, when the predicates are known.
Result<void> FileHistory::start() {
  if (started_) return {};
  const int64_t until = options_.until_ns == 0 ? INT64_MAX : options_.until_ns;
  if (options_.since_ns != 0 || until != INT64_MAX)
    KNELL_TRY(reader_.set_window(options_.since_ns, until));
  if (options_.last != 0) KNELL_TRY(reader_.seek_last(options_.last, *this));
  started_ = true;
  return {};
}

bool FileHistory::may_want(const journal::Record& record) {
  return HistoryListener::may_want(record.type, record.nonzero);
}

Result<size_t> FileHistory::read(const knell_event** ret_events, size_t count) {
  ++wakeups_;
  KNELL_TRY(start());
  bool changed = false;
  std::array<char, 4096> ignored;
  while (changes_ && ::read(changes_.get(), ignored.data(), ignored.size()) > 0) changed = true;
  const std::span<knell_event> slots(slots_.data(), std::min(count, kSlots));
  const int64_t seq = reader_.next_seq();
  KNELL_ASSIGN(const auto read, reader_.read(slots, *this));
  // If memory runs out, the next call returns these events.
  Rollback again([&] { reader_.seek(seq); });
  size_t n = 0;
  for (size_t i = 0; i < read.count; ++i) {
    knell_event& event = slots_[i];
    // The reader returns all lost events, without a call of wants().
    if (event.type == KNELL_EVENT_LOST && !wants(event)) continue;
    finish(i);
    cursors_[i] =
        journal::text_of({.journal = reader_.id(), .seq = static_cast<int64_t>(event.seq)});
    event.cursor = {cursors_[i].data(), cursors_[i].size()};
    ret_events[n++] = &event;
  }
  again.keep();
  if (!read.end) {
    alarm_.set(feed::kAlarmNow);
  } else if (options_.follow != 0) {
    // The returned events point into the reader.
    const bool replaced = n == 0 && reopen_if_replaced();
    const uint64_t later = clock_.monotonic_ns() + (changed ? kSettleNs : kPollNs);
    alarm_.set(replaced ? feed::kAlarmNow : later);
  } else if (n == 0) {
    return say(ENODATA, reader_.path() + ": there are no more events");
  }
  return n;
}

bool FileHistory::reopen_if_replaced() {
  const ino_t inode = inode_of(reader_.path());
  if (inode == 0 || inode == inode_) return false;
  auto reader = journal::Reader::open(reader_.path());
  if (!reader) return false;  // the new file is not complete yet
  reader_ = *std::move(reader);
  inode_ = inode;
  watch_changes();
  return true;
}

}  // namespace knell::lib
