// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Reads the journal in steps, one transaction for each call, so that a caller that does not read on
// does not keep the journal's WAL from being reused.
//
// With `follow`, inotify(7) reports writes to the WAL. A commit is complete a moment after its last
// write, so the journal is read once more a few milliseconds later. If the file was moved aside,
// the one in its place is opened.
#include "lib/history_listener.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <utility>

#include "base/boot_id.h"
#include "base/rollback.h"
#include "event/fields.h"
#include "journal/cursor.h"
#include "wire/origin.h"

namespace knell::lib {
namespace {

constexpr uint64_t kSettleNs = 5'000'000;    // picked: a commit takes less than a millisecond
constexpr uint64_t kPollNs = 1'000'000'000;  // to find a journal that took the place of this one
constexpr int64_t kClockErrorNs = int64_t{86'400} * 1'000'000'000;  // at the boot, before NTP

Result<void> poll_readable(int epoll, int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("poll a descriptor");
  return {};
}

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

Result<std::unique_ptr<HistoryListener>> HistoryListener::create(
    const std::string& path, const knell_history_options& options) {
  const ino_t inode = inode_of(path);
  auto reader = journal::Reader::open(path);
  if (!reader) return std::unexpected(explained(reader.error(), path));
  std::unique_ptr<HistoryListener> made(new HistoryListener(options, *std::move(reader)));
  made->inode_ = inode;
  KNELL_TRY(made->open());
  return made;
}

HistoryListener::HistoryListener(const knell_history_options& options, journal::Reader reader)
    : knell_listener(ListenerFilter{}), options_(options), reader_(std::move(reader)) {
  filter_.subscription.mask = filter::normalise(options.events);
  if (options.this_boot != 0) {
    boot_ = boot_number();
    boot_time_ns_ = clock_.realtime_ns() - static_cast<int64_t>(clock_.boottime_ns());
    options_.since_ns = std::max(options_.since_ns, boot_time_ns_ - kClockErrorNs);
  }
}

Result<void> HistoryListener::open() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("create an epoll descriptor");
  KNELL_ASSIGN(alarm_, feed::Alarm::create(epoll_.get(), kAlarm));
  if (options_.follow != 0) {
    changes_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!changes_) return errno_error("watch the journal");
    watch_changes();
    KNELL_TRY(poll_readable(epoll_.get(), changes_.get(), kChange));
  }
  alarm_.set(feed::kAlarmNow);
  return {};
}

// If it fails, the journal is read every second.
void HistoryListener::watch_changes() {
  for (const char* part : {"-wal", ""})
    (void)::inotify_add_watch(changes_.get(), (reader_.path() + part).c_str(),
                              IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF);
}

Result<void> HistoryListener::match(std::span<const filter::Predicate> more) {
  filter::Predicates wider = filter_.predicates;
  KNELL_TRY(wider.add(more));
  for (const int32_t root : wider.needs().roots) {
    if (!descent_.follow(root)) return say(EINVAL, "under: more than 64 processes");
    has_roots_ = true;
  }
  std::swap(filter_.predicates, wider);
  return {};
}

Result<void> HistoryListener::add(pid_t, uint64_t, uint64_t) {
  return say(EINVAL, "processes cannot be added to a listener of a journal");
}

Result<void> HistoryListener::remove(pid_t pid) {
  return say(ENOENT, "process " + std::to_string(pid) + " was not added to this listener");
}

Result<void> HistoryListener::set_events(uint32_t mask) {
  filter_.subscription.mask = filter::normalise(mask);
  return {};
}

// Finds the first event to return, now that the predicates are known.
Result<void> HistoryListener::start() {
  if (started_) return {};
  const int64_t until = options_.until_ns == 0 ? INT64_MAX : options_.until_ns;
  if (options_.since_ns != 0 || until != INT64_MAX)
    KNELL_TRY(reader_.set_window(options_.since_ns, until));
  if (options_.last != 0) KNELL_TRY(reader_.seek_last(options_.last, *this));
  started_ = true;
  return {};
}

bool HistoryListener::may_want(const journal::Record& record) {
  // The descent follows from all events.
  return has_roots_ || filter::passes(filter_.subscription.rule, filter_.subscription.mask,
                                      record.type, record.nonzero ? 1 : 0);
}

bool HistoryListener::wants(knell_event& event) {
  if (boot_ != 0 && event.id.kind != KNELL_ID_NONE && event.id.boot != boot_) return false;
  if (!has_roots_) return filter_.wants(event, descent_);
  descent_.learn(event);
  const bool wanted = filter_.wants(event, descent_);
  if (event.type == KNELL_EVENT_EXIT && event.tid == event.pid) descent_.on_exit(event.pid);
  return wanted;
}

Result<size_t> HistoryListener::read(const knell_event** ret_events, size_t count) {
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
    if (event.type == KNELL_EVENT_LOST && boot_ != 0 && event.time_ns < boot_time_ns_) continue;
    finish(event);
    ret_events[n++] = &event;
  }
  again.keep();
  if (!read.end) {
    alarm_.set(feed::kAlarmNow);
  } else if (options_.follow != 0) {
    // The events that are returned point into the reader.
    const bool replaced = n == 0 && reopen_if_replaced();
    const uint64_t later = clock_.monotonic_ns() + (changed ? kSettleNs : kPollNs);
    alarm_.set(replaced ? feed::kAlarmNow : later);
  } else if (n == 0) {
    return say(ENODATA, reader_.path() + ": there are no more events");
  }
  return n;
}

bool HistoryListener::reopen_if_replaced() {
  const ino_t inode = inode_of(reader_.path());
  if (inode == 0 || inode == inode_) return false;
  auto reader = journal::Reader::open(reader_.path());
  if (!reader) return false;  // not complete yet
  reader_ = *std::move(reader);
  inode_ = inode;
  watch_changes();
  return true;
}

void HistoryListener::finish(knell_event& event) {
  event::note_presence<event::kFields>(event);
  ++returned_;
  const auto slot = static_cast<size_t>(&event - slots_.data());
  cursors_[slot] =
      journal::text_of({.journal = reader_.id(), .seq = static_cast<int64_t>(event.seq)});
  event.cursor = {cursors_[slot].data(), cursors_[slot].size()};
  if (event.type == KNELL_EVENT_LOST) {
    lost_ += event.lost_count;
    return;
  }
  if (event.user.data != nullptr || (event.has & KNELL_HAS_UID) == 0) return;
  process::UserNames::Name& name = names_[slot];
  name = users_.find(event.uid);
  if (name != nullptr) event.user = {name->data(), name->size()};
}

wire::Origin HistoryListener::origin() const {
  wire::Origin origin = wire::origin_here(clock_, boot_id());
  origin.subscription.mask = filter_.subscription.mask;
  origin.subscription.via = KNELL_VIA_JOURNAL;
  return origin;
}

knell_stats HistoryListener::stats() const {
  knell_stats all{};
  all.shown = returned_;
  all.lost = lost_;
  all.wakeups = all.drains = wakeups_;
  all.via = KNELL_VIA_JOURNAL;
  return all;
}

}  // namespace knell::lib
