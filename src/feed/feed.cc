// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How a source is polled and drained.
//
// fd() is an epoll descriptor that contains the source (while the pacer wants wakeups from it) and
// one timer for everything that is due at a certain time: pacing, work of the source itself, the
// health check, and "there is more" (a time in the past). So the caller that polls fd() is woken
// only when read() has something to do.
//
// read() does the work that is due, without waiting, and drains the source. The batch is the only
// buffer, of a fixed size: events that do not fit stay in the kernel.
#include "feed/feed.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "base/boot_id.h"
#include "process/root_set.h"

namespace knell::feed {
namespace {

constexpr uint64_t kSourceTag = 1, kTimerTag = 2;  // data in the epoll set

constexpr size_t kBatchSlots =
    2048;  // about 1.6 MB; an event takes two slots at most, so a drain can read 1000
constexpr uint64_t kHealthNs =
    // How soon a source that stopped is noticed; one check costs about 50 us
    5'000'000'000;
constexpr size_t kScannedADrain = 8;  // chosen, not measured: about a tenth of a millisecond
// Processes of a comparison after a hole; see process::LiveSet. About half a millisecond.
constexpr size_t kComparedADrain = 64;

}  // namespace

Feed::Feed(const source::SourceOptions& options, const filter::Latency& latency, source::Sink& sink)
    : options_(options),
      latency_(latency),
      batch_(kBatchSlots),
      recovery_(sink, kernel_, clock_),
      out_(batch_, recovery_, clock_, boot_number()) {}

Result<std::unique_ptr<Feed>> Feed::open(const source::SourceOptions& options,
                                         const filter::Latency& latency, const Interest& interest,
                                         source::Sink& sink) {
  std::unique_ptr<Feed> feed(new Feed(options, latency, sink));
  KNELL_TRY(feed->start(interest));
  return feed;
}

Result<void> Feed::start(const Interest& interest) {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("make an epoll descriptor");
  KNELL_ASSIGN(alarm_, Alarm::create(epoll_.get(), kTimerTag));
  KNELL_TRY(open_source(interest));
  rearm(false);
  return {};
}

Result<void> Feed::open_source(const Interest& interest) {
  KNELL_ASSIGN(auto opened, source::open_source(options_, source::request_for(interest), out_));
  if (source_ != nullptr) watch_source(false);
  recovery_.set_source(*opened.source, out_);
  source_ = std::move(opened.source);
  via_ = opened.via;
  watch_source(true);
  if (source_->has_health_checks()) health_ns_ = clock_.monotonic_ns() + kHealthNs;
  return {};
}

Result<void> Feed::replace_source(const Interest& interest, uint64_t from_ns) {
  KNELL_TRY(open_source(interest));
  paced_by_.reset();
  more_ = false;
  KNELL_TRY(set_interest(interest));
  out_.begin_drain();
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = clock_.monotonic_ns();
  hole.u.lost.from_ns = from_ns;
  hole.u.lost.types = interest.mask;
  out_.add_hole(hole, via_, false);
  return {};
}

Result<void> Feed::set_interest(const Interest& interest) {
  if (interest.roots.size() > process::RootSet::kMost)
    return say(EINVAL, "under: at most 64 processes can be named");
  interest_.reset();
  source::SourceRequest wanted = source::request_for(interest);
  wanted.scan_later = scans_later_;
  const process::Tracked tracked =
      interest.recover ? source_->recoverable(wanted) : process::Tracked::kNone;
  wanted.lifetimes = tracked == process::Tracked::kAll;
  KNELL_TRY(source_->set_request(wanted));
  recovery_.track(tracked, (wanted.mask & KNELL_EVENT_EXEC) != 0);
  if (!scans_later_) {
    ScanBudget all;
    (void)recovery_.scan_some(all);
  }
  interest_ = interest;
  set_budget();
  set_timer();  // some work may be due immediately
  return {};
}

void Feed::saved() {
  if (!source_->saved() || more_ || !source_watched_) return;
  // Events since the drain did not wake the source, since its buffer was not empty.
  more_ = true;
  set_timer();
}

void Feed::set_latency(const filter::Latency& latency) {
  latency_ = latency;
  set_budget();
}

void Feed::set_budget() {
  const filter::Latency latency = source_->is_urgent() ? filter::Latency() : latency_;
  if (latency == paced_by_) return;
  paced_by_ = latency;
  pacer_ = source::Pacer(latency);
  watch_source(pacer_.plan().watch_fd);
}

Result<void> Feed::add_pid(int32_t pid, uint64_t start, const Interest& interest) {
  if (interest_ != interest) KNELL_TRY(set_interest(interest));
  KNELL_TRY(source_->add_pid(pid, start));
  recovery_.follow(pid, start);
  set_timer();  // in case it has already ended
  return {};
}

Result<void> Feed::remove_pid(int32_t pid) {
  recovery_.unfollow(pid);
  return source_->remove_pid(pid);
}

bool Feed::scan_some(ScanBudget& budget) {
  return source_->scan_some(budget) && recovery_.scan_some(budget);
}

Result<bool> Feed::read_now() {
  if (out_.bound() == 0) return false;
  out_.begin_drain();
  KNELL_TRY(drain());
  return !more_;
}

Result<void> Feed::read() {
  std::array<epoll_event, 2> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  if (n <= 0) return {};
  ++wakeups_;
  for (int i = 0; i < n; ++i)
    if (events[static_cast<size_t>(i)].data.u64 == kTimerTag) alarm_.on_fired();
  const uint64_t now = clock_.monotonic_ns();
  out_.begin_drain();
  if (health_ns_ != 0 && now >= health_ns_) {
    health_ns_ = now + kHealthNs;
    KNELL_TRY(source_->check_health());
  }
  return drain();
}

Result<void> Feed::drain() {
  ++drains_;
  const uint64_t began = recovery_.due_ns() != 0 ? clock_.monotonic_ns() : 0;
  const uint64_t events = out_.events();
  KNELL_ASSIGN(const source::Drained drained, source_->drain(out_.bound()));
  more_ = drained == source::Drained::kMore;
  if (!more_) read_until_ns_ = std::max(read_until_ns_, began);
  ScanBudget piece{.left = kScannedADrain};
  (void)scan_some(piece);
  if (recovery_.due_ns() != 0) {
    ScanBudget compared{.left = kComparedADrain};
    recovery_.advance(compared, read_until_ns_);
  }
  watch_source(pacer_.drained(drained, out_.events() - events, clock_.monotonic_ns()).watch_fd);
  return {};
}

void Feed::watch_source(bool watched) {
  if (watched == source_watched_) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSourceTag;
  // Removed rather than masked: an overrun is EPOLLERR, which cannot be masked.
  (void)::epoll_ctl(epoll_.get(), watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, source_->fd(), &event);
  source_watched_ = watched;
}

// Sets the timer to the earliest time at which something is due.
void Feed::set_timer() {
  uint64_t at = left_ || more_ ? kAlarmNow : 0;
  for (const uint64_t due :
       {pacer_.plan().timer_ns, source_->due_ns(), recovery_.due_ns(), health_ns_})
    if (due != 0 && (at == 0 || due < at)) at = due;
  alarm_.set(at);
}

knell_stats Feed::stats() const {
  const source::Counters counters = source_->counters();
  const source::Capabilities capabilities = source_->capabilities();
  knell_stats all{};
  all.buffer_bytes = capabilities.buffer_bytes;
  all.received = counters.received;
  all.lost = counters.lost;
  all.wakeups = wakeups_;
  all.drains = drains_;
  all.repairs = counters.repaired;
  all.processes = counters.processes;
  all.process_bytes = counters.process_bytes;
  all.forgotten = counters.forgotten;
  all.kernel_mask = kernel_mask();
  all.kernel_filter = capabilities.kernel_filter ? 1 : 0;
  all.via = via_;
  return all;
}

}  // namespace knell::feed
