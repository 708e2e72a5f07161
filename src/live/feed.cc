// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How a source is polled and drained.
//
// fd() is an epoll descriptor that contains the source (while the pacer wants to be woken by it),
// one timer for everything that is due at a certain time (pacing, the health check, and "there is
// more": a time in the past), and a pidfd for each process of which some thread has exited. So the
// caller that polls fd() is woken only when read() has something to do.
//
// read() does what is due, without waiting, and drains. The batch is the only buffer, of a fixed
// size: events that do not fit stay in the kernel.
#include "live/feed.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/named_process.h"
#include "base/pidfd.h"
#include "base/proc_stat.h"
#include "live/plan.h"

namespace knell::live {
namespace {

// Epoll data: a pid, or one of these.
constexpr uint64_t kSourceTag = uint64_t{1} << 32;
constexpr uint64_t kTimerTag = uint64_t{2} << 32;

constexpr size_t kBatchSlots =
    2048;  // about 1.1 MB; an event takes two slots at most, so a drain can read 1000
constexpr size_t kSpareSlots =
    64;  // for exits and losses that come without an event: up to kWakeups of them at once
constexpr int kWakeups = 32;
constexpr uint64_t kHealthNs =
    5'000'000'000;  // design: "within seconds"; one check costs about 50 us
constexpr size_t kSweepADrain =
    1;  // beside those that births cause: a drain may be for one event only
constexpr size_t kScannedADrain = 8;  // picked: about a tenth of a millisecond
constexpr size_t kSweepATick = 4096;  // with the health check, after many events; about 1 ms

// Half of the descriptors that this process may open, less a few: the rest is for the program
// itself.
size_t most_watched() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 16;
  const size_t all = std::min<size_t>(limit.rlim_cur, 8192);
  return all < 64 ? 1 : all / 2 - 16;
}

}  // namespace

std::string boot_id() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[36];
  if (!fd || ::read(fd.get(), text, sizeof text) != sizeof text) return {};
  return {text, sizeof text};
}

uint32_t boot_number() {
  return static_cast<uint32_t>(std::strtoul(boot_id().substr(0, 8).c_str(), nullptr, 16));
}

Feed::Feed(uint32_t level, int64_t latency_ns, SourceObserver* observer)
    : level_(level), latency_ns_(latency_ns), observer_(observer), batch_(kBatchSlots) {}

Feed::~Feed() = default;

Result<std::unique_ptr<Feed>> Feed::open(const SourceOptions& options, int64_t latency_ns,
                                         const Interest& interest, watch::EventFilter& event_filter,
                                         SourceObserver* observer, UserNameLookup look_up_names) {
  std::unique_ptr<Feed> feed(new Feed(interest.level, latency_ns, observer));
  KNELL_TRY(feed->start(options, interest, event_filter, look_up_names));
  return feed;
}

Result<void> Feed::start(const SourceOptions& options, const Interest& interest,
                         watch::EventFilter& event_filter, UserNameLookup look_up_names) {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("make an epoll descriptor");
  KNELL_ASSIGN(alarm_, Alarm::create(epoll_.get(), kTimerTag));
  KNELL_ASSIGN(proc_, watch::ProcReader::open());
  probe_.emplace(epoll_.get(), clock_);
  KNELL_ASSIGN(auto opened, open_source(options, interest));
  source_ = std::move(opened.source);
  pidfds_ = opened.pidfds;
  full_events_ = opened.full_events;
  kernel_mask_ = opened.wanted.mask;
  watch_source(true);

  watch::NormaliserOptions normaliser;
  normaliser.level = level_;
  // set_interest() raises it and takes the snapshot, after the subscription.
  normaliser.details = KNELL_DETAILS_STATUS;
  normaliser.via = pidfds_ != nullptr ? KNELL_VIA_PIDFD : KNELL_VIA_CONNECTOR;
  normaliser.full_events = full_events_;
  normaliser.user_names = look_up_names == UserNameLookup::kYes;
  normaliser.boot = boot_number();
  normaliser.most_watched = most_watched();
  normaliser_.emplace(normaliser, *proc_, clock_, *probe_, event_filter, batch_);
  if (pidfds_ == nullptr) health_ns_ = clock_.monotonic_ns() + kHealthNs;
  rearm(false);
  return {};
}

void Feed::on_raw(const event::Raw& raw) {
  if (observer_ != nullptr) observer_->on_raw(raw);
  normaliser_->on_raw(raw);
}

void Feed::on_births_lost(uint64_t count) {
  if (observer_ != nullptr) observer_->on_births_lost(count);
}

void Feed::on_full(const event::Full& full) {
  if (observer_ != nullptr) observer_->on_full(full);
  normaliser_->on_full(full);
}

// With full details an exec event needs an immediate read of /proc: with a pacing of 10 ms the
// arguments of a short-lived process are gone in 19 of 20 cases.
int64_t Feed::budget_ns() const {
  const bool reads_programs = normaliser_->process_details().details() == KNELL_DETAILS_FULL;
  return reads_programs && !full_events_ && (kernel_mask_ & KNELL_EVENT_EXEC) != 0 ? 0
                                                                                   : latency_ns_;
}

void Feed::set_latency(int64_t latency_ns) {
  latency_ns_ = latency_ns;
  set_budget();
}

Result<void> Feed::set_interest(const Interest& interest) {
  if (pidfds_ != nullptr) {
    normaliser_->set_details(interest.details);
    return {};
  }
  if (interest.roots.size() > watch::Lineage::kMostRoots)
    return say(EINVAL, "under: at most 64 processes");
  interest_.reset();
  KNELL_TRY(full_events_ ? request_full_events(interest) : request_raw_events(interest));
  interest_ = interest;
  set_budget();
  return {};
}

Result<void> Feed::request_full_events(const Interest& interest) {
  source::SourceRequest wanted = request_for_full_events(interest);
  wanted.scan_later = scans_later_;
  if (!interest.only_added)
    for (const int32_t pid : interest.pids) KNELL_TRY(source_->add_pid(pid));
  KNELL_TRY(source_->set_request(wanted));
  kernel_mask_ = wanted.mask;
  normaliser_->set_roots(wanted.roots);
  normaliser_->set_details(wanted.details);
  return {};
}

Result<void> Feed::request_raw_events(const Interest& interest) {
  const source::SourceRequest wanted = request_for_raw_events(interest);
  KNELL_TRY(source_->set_request(wanted));
  kernel_mask_ = wanted.mask;
  normaliser_->set_reported_types(wanted.mask);
  normaliser_->set_details(interest.details);
  if (!normaliser_->follow(interest.roots)) return say(EINVAL, "under: at most 64 processes");
  return {};
}

void Feed::scan_later() {
  scans_later_ = true;
  normaliser_->set_scan_time(watch::Normaliser::ScanTime::kLater);
}

Result<bool> Feed::scan_under_roots(ScanBudget& budget) {
  if (!full_events_) return normaliser_->scan_under_roots(budget);
  return source_->scan_under_roots(budget);
}

void Feed::set_budget() {
  const int64_t budget = budget_ns();
  if (budget == paced_by_ns_) return;
  paced_by_ns_ = budget;
  pacer_ = source::Pacer(static_cast<uint64_t>(budget));
  watch_source(pacer_.plan().watch_fd);
}

Result<void> Feed::add_pid(int32_t pid, uint64_t start, const Interest& interest) {
  if (pidfds_ != nullptr) return pidfds_->add(pid, start);
  // A zombie's EXIT may have been sent before this call, so its exit is detected by its pidfd.
  KNELL_ASSIGN(UniqueFd pidfd, open_named_process(pid, start));
  const bool dead = pidfd && is_dead(pidfd.get());
  KNELL_TRY(source_->add_pid(pid));
  if (interest_ != interest) KNELL_TRY(set_interest(interest));
  // The process is checked only after its EXIT is subscribed to: if it died before, the check finds
  // it dead; if it dies later, its EXIT is received. bpf collects the details when a process begins
  // to exit; for a process that has begun already, it has at most the mark (see
  // source/bpf/stream.cc), without details.
  const auto begun = [&] {
    const auto stat = full_events_ ? read_proc_stat(pid) : std::nullopt;
    return stat && stat->exiting;
  };
  if (pidfd && (dead || is_dead(pidfd.get()) || begun())) {
    normaliser_->follow_exit(pid, std::move(pidfd));
    more_ = true;
    rearm(false);
  }
  return {};
}

Result<void> Feed::remove_pid(int32_t pid) {
  if (pidfds_ != nullptr) return pidfds_->remove(pid);
  source_->remove_pid(pid);
  return {};
}

Result<bool> Feed::read_now() {
  if (pidfds_ != nullptr) return true;
  normaliser_->begin_drain();
  KNELL_TRY(drain());
  return !more_;
}

Result<void> Feed::read() {
  const Due due = collect_due();
  if (!due.source && !due.deaths && !due.timer) return {};
  return serve(due);
}

// Collects what is due. Never blocks.
Feed::Due Feed::collect_due() {
  Due due;
  epoll_event events[kWakeups];
  const int n = ::epoll_wait(epoll_.get(), events, kWakeups, 0);
  if (n > 0) ++wakeups_;
  for (int i = 0; i < n; ++i) {
    if (events[i].data.u64 == kSourceTag)
      due.source = true;
    else if (events[i].data.u64 == kTimerTag)
      due.timer = true;
    else
      normaliser_->on_pidfd_readable(static_cast<int32_t>(events[i].data.u64)), due.deaths = true;
  }
  if (due.timer) alarm_.on_fired();
  return due;
}

Result<void> Feed::serve(const Due& due) {
  const uint64_t now = clock_.monotonic_ns();
  normaliser_->begin_drain();
  if (health_ns_ != 0 && now >= health_ns_) {
    health_ns_ = now + kHealthNs;
    KNELL_TRY(source_->check_health(*this));
    sweep_ = kSweepATick;
  }
  const uint64_t paced = pacer_.plan().timer_ns;
  const uint64_t exits_due = normaliser_->due_ns();
  if (due.source || more_ || sweep_ > kSweepADrain || (paced != 0 && now >= paced) ||
      (exits_due != 0 && now >= exits_due))
    return drain();
  return settle();
}

size_t Feed::bound() const {
  const size_t room = batch_.room();
  return room <= kSpareSlots ? 0 : (room - kSpareSlots) / 2;  // a fork may add an exit event
}

Result<void> Feed::drain() {
  ++drains_;
  KNELL_ASSIGN(const source::Drained drained, drain_source(bound()));
  more_ = drained == source::Drained::kMore;
  KNELL_TRY(settle());
  ScanBudget piece{.left = kScannedADrain};
  (void)scan_some(piece);
  if (!more_) normaliser_->sweep(std::exchange(sweep_, kSweepADrain));
  watch_source(pacer_.drained(drained, clock_.monotonic_ns()).watch_fd);
  return {};
}

Result<source::Drained> Feed::drain_source(size_t most) {
  const uint64_t now = clock_.monotonic_ns();
  KNELL_ASSIGN(const source::Drained drained, source_->drain(*this, most));
  if (drained != source::Drained::kMore) normaliser_->set_read_until(now);
  return drained;
}

// Decides which processes have ended, after reading their last EXITs; see watch/exit_tracker.cc.
Result<void> Feed::settle() {
  while (normaliser_->has_noted()) {
    const size_t dead = normaliser_->probe_exits();
    const size_t most = bound();
    if (dead > 0 && most > 0 && pidfds_ == nullptr) {
      KNELL_ASSIGN(const source::Drained drained, drain_source(most));
      more_ |= drained == source::Drained::kMore;
    }
    normaliser_->finish();
    if (batch_.room() <= kSpareSlots) {
      more_ = true;
      break;
    }
  }
  normaliser_->finish();
  more_ |= batch_.room() == 0;
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
void Feed::rearm(bool left) {
  uint64_t at = left || more_ ? kAlarmNow : pacer_.plan().timer_ns;
  if (health_ns_ != 0 && (at == 0 || health_ns_ < at)) at = health_ns_;
  if (const uint64_t due = normaliser_->due_ns(); due != 0 && (at == 0 || due < at)) at = due;
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
  all.processes = normaliser_->process_details().table().size() + normaliser_->lineage().size();
  all.process_bytes = normaliser_->process_details().table().bytes();
  all.forgotten = normaliser_->process_details().table().forgotten();
  all.kernel_mask = kernel_mask_;
  all.kernel_filter = capabilities.kernel_filter ? 1 : 0;
  all.via = via();
  return all;
}

uint32_t Feed::via() const {
  return pidfds_ != nullptr ? KNELL_VIA_PIDFD : full_events_ ? KNELL_VIA_BPF : KNELL_VIA_CONNECTOR;
}

}  // namespace knell::live
