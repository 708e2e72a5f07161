// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Replays a recording at its original speed or at another one.
//
// knell_fd() is an epoll descriptor with one timer. The timer is set to a time in the past while
// there are events to return, and to the time of the next event while that is in the future. If the
// recording is a pipe and all data received was read, the timer is off and the pipe is in the epoll
// set.
#include "lib/replay_listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <string>
#include <string_view>

#include "event/fields.h"

namespace knell::lib {
Result<std::unique_ptr<ReplayListener>> ReplayListener::create(
    const char* path, const knell_replay_options& options) {
  // Duplicate the descriptor, do not open the name: standard input may be a socket or a file of
  // another user, and its file offset must be kept.
  const bool standard = std::string_view(path) == "/dev/stdin";
  UniqueFd fd(standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                       : ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return errno_error("open the recording " + std::string(path));
  KNELL_ASSIGN(auto reader, wire::RecordingReader::open(std::move(fd), path));
  std::unique_ptr<ReplayListener> replay(new ReplayListener(options, std::move(reader)));
  KNELL_TRY(replay->open());
  return replay;
}

ReplayListener::ReplayListener(const knell_replay_options& options, wire::RecordingReader reader)
    : knell_listener(ListenerFilter{}), speed_(options.speed), reader_(std::move(reader)) {
  filter_.subscription.mask = filter::normalise(options.events);
  filter_.subscription.only_added = options.only_added != 0;
}

Result<void> ReplayListener::open() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("create an epoll descriptor");
  KNELL_ASSIGN(alarm_, feed::Alarm::create(epoll_.get(), 0));
  watch_input(true);  // fails for regular files
  is_pipe_ = input_watched_;
  watch_input(false);
  alarm_.set(feed::kAlarmNow);
  return {};
}

Result<void> ReplayListener::match(std::span<const filter::Predicate> more) {
  filter::Predicates wider = filter_.predicates;
  KNELL_TRY(wider.add(more));
  for (const filter::Root& root : wider.needs().roots)
    if (!descent_.follow(root)) return say(EINVAL, "under: at most 64 processes can be named");
  std::swap(filter_.predicates, wider);
  return {};
}

Result<void> ReplayListener::add(pid_t pid, uint64_t start, uint64_t cookie) {
  if (pid <= 0) return say(EINVAL, "a process id must be above 0, not " + std::to_string(pid));
  // A recording may have several processes with one pid.
  const ListenerFilter::Added* const before = filter_.added.find(pid);
  if (before != nullptr && !before->is_before(start))
    return say(EEXIST, "process " + std::to_string(pid) + " was already added to this listener");
  filter_.add(pid, start, cookie);
  return {};
}

Result<void> ReplayListener::remove(pid_t pid) {
  if (filter_.remove(pid)) return {};
  return say(ENOENT, "process " + std::to_string(pid) + " was not added to this listener");
}

Result<void> ReplayListener::set_events(uint32_t mask) {
  filter_.subscription.mask = filter::normalise(mask);
  return {};
}

void ReplayListener::remove_if_exited(const knell_event& event) {
  if (event.type != KNELL_EVENT_EXIT || event.tid != event.pid) return;
  descent_.on_exit(event.pid);
  filter_.remove_exited(event.pid, ListenerFilter::start_of(event));
}

// The time `recorded_ns` of the recording after `from_ns`.
uint64_t ReplayListener::later(uint64_t from_ns, uint64_t recorded_ns) const {
  constexpr double kMostNs = 1e18;  // ns: 31 years; prevents an overflow of the sum
  const double after = static_cast<double>(recorded_ns) / speed_;
  return std::min(from_ns, static_cast<uint64_t>(kMostNs)) +
         static_cast<uint64_t>(std::min(after, kMostNs));
}

// The time to return an event. Within a recording the intervals are those of the timestamps; an
// event with a timestamp before the first event's is due with that. The recordings of a file can be
// of different boots, whose timestamps cannot be compared: between them the interval is that of the
// time of day, or none if the clock was set back.
uint64_t ReplayListener::due_ns(const knell_event& event, uint64_t now_ns) {
  if (speed_ == 0) return 0;
  if (recording_ != reader_.recordings()) {
    const bool after = event.time_ns > last_time_ns_;
    const uint64_t pause =
        static_cast<uint64_t>(event.time_ns) - static_cast<uint64_t>(last_time_ns_);
    begun_ns_ = recording_ == 0 ? now_ns : later(last_due_ns_, after ? pause : 0);
    first_ns_ = event.mono_ns;
    recording_ = reader_.recordings();
  }
  last_time_ns_ = event.time_ns;
  last_due_ns_ = later(begun_ns_, event.mono_ns > first_ns_ ? event.mono_ns - first_ns_ : 0);
  return last_due_ns_;
}

bool ReplayListener::refillable() const {
  if (!is_pipe_) return true;
  pollfd input{.fd = reader_.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, 0) > 0;
}

// Reads the next event of the recording into next_; kWait: there is none in this read().
Result<ReplayListener::Step> ReplayListener::step() {
  for (;;) {
    KNELL_ASSIGN(const auto next, reader_.next(next_));
    if (next == wire::RecordingReader::Next::kEvent) return Step::kEvent;
    if (next == wire::RecordingReader::Next::kEnd)
      return say(ENODATA, "the recording " + reader_.name() + " has no more events");
    if (refilled_) return Step::kWait;
    if (!refillable()) {
      alarm_.set(0);
      watch_input(true);
      return Step::kWait;
    }
    KNELL_TRY(reader_.refill());
    refilled_ = true;
  }
}

Result<size_t> ReplayListener::read(const knell_event** ret_events, size_t count) {
  size_t n = 0;
  try {
    KNELL_TRY(read(ret_events, count, n));
  } catch (const std::bad_alloc&) {
    if (n == 0) throw;  // else return the events that are complete; the next call goes on
  }
  return n;
}

// Adds events to ret_events and counts them in `n`. If memory runs out, the event in work stays in
// next_.
Result<void> ReplayListener::read(const knell_event** ret_events, size_t count, size_t& n) {
  ++wakeups_;
  refilled_ = false;
  const uint64_t now = speed_ == 0 ? 0 : clock_.monotonic_ns();
  const size_t most = std::min(count, kSlots);
  alarm_.set(feed::kAlarmNow);
  watch_input(false);
  while (n < most && !end_) {
    if (!has_next_) {
      // The strings of returned events are in the reader's buffer, so do not refill it in this
      // call.
      refilled_ |= n > 0;
      const auto found = step();
      if (!found) end_ = found.error();
      if (!found || *found == Step::kWait) break;
      has_next_ = true;
    }
    if (const uint64_t due = due_ns(next_, now); due > now) {
      alarm_.set(due);
      break;
    }
    descent_.learn(next_);
    has_next_ = false;
    if (filter_.wants(next_, descent_)) {
      knell_event& event = slots_[n] = next_;
      event::note_presence<event::kFields>(event);
      event.seq = ++seq_;
      if (event.type == KNELL_EVENT_LOST) lost_ += event.lost_count;
      ret_events[n++] = &event;
    }
    remove_if_exited(next_);
  }
  if (n == 0 && end_) return std::unexpected(*end_);
  return {};
}

// The mask of a recording of this listener: events that are both in the input and in its own mask.
wire::Origin ReplayListener::origin() const {
  wire::Origin origin = reader_.origin();
  constexpr uint32_t kNonzero = KNELL_EVENT_NONZERO_EXIT;
  const auto with_nonzero = [](uint32_t mask) {
    return (mask & KNELL_EVENT_EXIT) != 0 ? mask | kNonzero : mask;
  };
  origin.subscription.mask = with_nonzero(origin.subscription.mask) &
                             with_nonzero(filter_.subscription.mask) & KNELL_EVENT_ALL;
  return origin;
}

void ReplayListener::watch_input(bool watched) {
  if (watched == input_watched_) return;
  epoll_event event{};
  event.events = EPOLLIN;
  input_watched_ = ::epoll_ctl(epoll_.get(), watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, reader_.fd(),
                               &event) == 0 &&
                   watched;
}

knell_stats ReplayListener::stats() const {
  knell_stats all{};
  all.received = reader_.events();
  all.shown = seq_;
  all.lost = lost_;
  all.wakeups = all.drains = wakeups_;
  all.via = KNELL_VIA_RECORDING;
  return all;
}

}  // namespace knell::lib
