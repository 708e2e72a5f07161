// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How one listener waits and reads.
//
// knell_fd() is an epoll descriptor that holds the source (while the pacer wants to be woken by
// it), one timer for all that happens at a time (pacing, the health check, and "there is more": a
// time long past), and a pidfd for each process with one foot in the grave. So whoever polls it is
// woken exactly when knell_read() has something to do.
//
// knell_read() first hands out what the last drain left in the batch; only when that is empty it
// looks what is due, without waiting, and drains. The batch is the only buffer, of a fixed size:
// what does not fit stays in the kernel.
#include "lib/live_listener.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/pidfd.h"
#include "base/proc_stat.h"
#include "base/thread_of.h"
#include "filter/rule.h"
#include "lib/opening.h"

namespace knell::lib {
namespace {

// Epoll data: a pid, or one of these.
constexpr uint64_t kSourceTag = uint64_t{1} << 32;
constexpr uint64_t kTimerTag = uint64_t{2} << 32;

constexpr size_t kBatchSlots =
    2048;  // about 1.1 MB; at two slots an event at the most, room for 1000 a drain
constexpr size_t kSpareSlots =
    64;  // for deaths and holes that come without an event: kWakeups of them at once
constexpr int kWakeups = 32;
constexpr uint64_t kHealthNs =
    5'000'000'000;  // design: "within seconds"; one check costs about 50 us
constexpr size_t kSweepADrain =
    1;  // beside what births call for: a drain may be for one event only
constexpr size_t kSweepATick = 4096;  // with the health check: what a storm left behind; about 1 ms

std::string read_boot_id() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[36];
  if (!fd || ::read(fd.get(), text, sizeof text) != sizeof text) return {};
  return {text, sizeof text};
}

// Half of the descriptors this process may open, less a few: the rest is the program's own.
size_t most_watched() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 16;
  const size_t all = std::min<size_t>(limit.rlim_cur, 8192);
  return all < 64 ? 1 : all / 2 - 16;
}

}  // namespace

LiveListener::LiveListener(const knell_options& options)
    : choice_{.mask = filter::normalise(options.events),
              .predicates = {},
              .added = {},
              .only_added = false},
      level_(options.level),
      details_(options.details),
      latency_ns_(options.latency_ns),
      batch_(kBatchSlots) {}

LiveListener::~LiveListener() = default;

Result<std::unique_ptr<LiveListener>> LiveListener::create(const knell_options& options) {
  std::unique_ptr<LiveListener> listener(new LiveListener(options));
  KNELL_TRY(listener->open(options));
  return listener;
}

Result<void> LiveListener::open(const knell_options& options) {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("make an epoll descriptor");
  KNELL_ASSIGN(alarm_, Alarm::create(epoll_.get(), kTimerTag));
  KNELL_ASSIGN(proc_, watch::ProcReader::open());
  pulse_.emplace(epoll_.get(), clock_);
  KNELL_ASSIGN(auto opened, open_source(options, interest()));
  source_ = std::move(opened.source);
  pidfds_ = opened.pidfds;
  whole_ = opened.whole;
  kernel_mask_ = opened.wanted.mask;
  watch_source(true);

  watch::NormaliserOptions normaliser;
  normaliser.level = level_;
  normaliser.details = KNELL_DETAILS_STATUS;  // apply() raises it, and takes the snapshot, now that
                                              // we are subscribed
  normaliser.via = pidfds_ != nullptr ? KNELL_VIA_PIDFD : KNELL_VIA_CONNECTOR;
  normaliser.whole = whole_;
  normaliser.boot =
      static_cast<uint32_t>(std::strtoul(read_boot_id().substr(0, 8).c_str(), nullptr, 16));
  normaliser.most_watched = most_watched();
  normaliser_.emplace(normaliser, *proc_, clock_, *pulse_, static_cast<Outlet&>(*this), batch_);
  KNELL_TRY(apply());
  if (pidfds_ == nullptr) health_ns_ = clock_.monotonic_ns() + kHealthNs;
  arm();
  return {};
}

Interest LiveListener::interest() const {
  return {{choice_.mask, level_, details_, choice_.predicates.needs()}, choice_.only_added};
}

// With full details the kernel's word of an exec is worth a look at /proc at once: paced by 10 ms
// the arguments of a short-lived process are gone 19 times in 20.
int64_t LiveListener::budget_ns() const {
  const bool reads_programs = normaliser_->memory().details() == KNELL_DETAILS_FULL;
  return reads_programs && !whole_ && (kernel_mask_ & KNELL_EVENT_EXEC) != 0 ? 0 : latency_ns_;
}

Result<void> LiveListener::apply() {
  const filter::Needs needs = choice_.predicates.needs();
  shown_ = types_of(choice_.mask) & types_of(needs.possible);
  shown_ |= KNELL_EVENT_LOST;
  if (pidfds_ != nullptr) {
    normaliser_->set_details(
        filter::details_needed(filter::Want{choice_.mask, level_, details_, needs}));
    return {};
  }
  const source::Wanted wanted =
      whole_ ? wanted_of_whole(interest()) : wanted_of_threads(interest());
  if (wanted.roots.size() > watch::Lineage::kMostRoots)
    return say(EINVAL, "--under takes 64 processes at the most");
  if (whole_ && !choice_.only_added)
    for (const int32_t pid : needs.pids) KNELL_TRY(source_->add_pid(pid));
  KNELL_TRY(source_->want(wanted));
  const uint32_t mask = kernel_mask_ = wanted.mask;
  if (whole_) {
    normaliser_->set_roots(wanted.roots);
    normaliser_->set_details(wanted.details);
    set_budget();
    return {};
  }
  normaliser_->set_heard(mask);
  normaliser_->set_details(
      filter::details_needed(filter::Want{choice_.mask, level_, details_, needs}));
  for (const int32_t root : needs.roots)
    if (!normaliser_->follow(root)) return say(EINVAL, "--under takes 64 processes at the most");
  set_budget();
  return {};
}

void LiveListener::set_budget() {
  const int64_t budget = budget_ns();
  if (budget == paced_by_ns_) return;
  paced_by_ns_ = budget;
  pacer_ = source::Pacer(static_cast<uint64_t>(budget));
  watch_source(pacer_.plan().watch_fd);
}

Result<void> LiveListener::match(const char* key, const char* value) {
  filter::Predicates wider = choice_.predicates;
  KNELL_TRY(wider.add(key, value));
  for (const int32_t root : wider.needs().roots)
    if (!pulse_->exists(root))
      return say(ESRCH, "under: there is no process " + std::to_string(root));
  std::swap(choice_.predicates, wider);
  if (auto applied = apply(); !applied) {
    std::swap(choice_.predicates, wider);
    return applied;
  }
  return {};
}

Result<void> LiveListener::set_events(uint32_t mask) {
  const uint32_t before = std::exchange(choice_.mask, filter::normalise(mask));
  auto applied = apply();
  if (!applied) choice_.mask = before;
  return applied;
}

Result<void> LiveListener::add(pid_t pid, uint64_t start, uint64_t cookie) {
  if (pid <= 0) return say(EINVAL, "a process id is above 0, not " + std::to_string(pid));
  if (choice_.added.find(pid) != nullptr)
    return say(EEXIST, "process " + std::to_string(pid) + " was added already");
  if (pidfds_ != nullptr) {
    KNELL_TRY(pidfds_->add(pid, start));
  } else {
    // A zombie's EXIT may have come and gone before now, so its pidfd tells it.
    auto pidfd = try_pidfd_open(pid);
    if (const auto process = !pidfd ? process_of_thread(pid) : std::nullopt)
      return say(ESRCH, std::to_string(pid) + " is a thread of process " +
                            std::to_string(*process) + ", and no process itself");
    if (!pidfd && pidfd.error() == ESRCH)
      return say(ESRCH, "there is no process " + std::to_string(pid));
    const auto stat = start != 0 ? read_proc_stat(pid) : std::nullopt;
    if (stat && stat->start != start)
      return say(ESRCH, "process " + std::to_string(pid) + " is another one now");
    const bool dead = pidfd && is_dead(pidfd->get());
    choice_.add(pid, start, cookie);
    KNELL_TRY(source_->add_pid(pid));
    KNELL_TRY(apply());
    // Looked at only now that its EXIT would come: what dies before this is found dead, what dies
    // after is heard of.
    if (pidfd && (dead || is_dead(pidfd->get()))) {
      normaliser_->follow_death(pid, *std::move(pidfd));
      more_ = true;
      arm();
    }
    return {};
  }
  choice_.add(pid, start, cookie);
  return {};
}

Result<void> LiveListener::remove(pid_t pid) {
  if (!choice_.added.erase(pid))
    return say(ENOENT, "process " + std::to_string(pid) + " was not added");
  if (pidfds_ != nullptr) {
    return pidfds_->remove(pid);
  }
  source_->remove_pid(pid);
  return apply();
}

bool LiveListener::wants(knell_event& event, const filter::Ancestry& ancestry) {
  if (event.type == KNELL_EVENT_LOST) {
    // The kernel's number counts all that the socket was sent: exact only for somebody who is shown
    // all that.
    const bool all = (whole_ || level_ == KNELL_LEVEL_RAW) && choice_.predicates.empty() &&
                     !choice_.only_added && kernel_mask_ == choice_.mask;
    if (!all) event.flags &= ~KNELL_FLAG_EXACT;
    event.lost_types = shown_ & ~uint32_t{KNELL_EVENT_LOST};
    return true;
  }
  return choice_.wants(event, ancestry);
}

void LiveListener::over(int32_t pid, uint64_t start) {
  if (choice_.over(pid, start)) source_->remove_pid(pid);
}

Result<size_t> LiveListener::read(const knell_event** ret_events, size_t count) {
  if (count == 0) return 0;
  if (const size_t n = hand_out(ret_events, count); n > 0) return n;
  batch_.clear();
  next_ = 0;
  const Due due = wait_for_nothing();
  if (due.source || due.deaths || due.timer) KNELL_TRY(serve(due));
  const size_t n = hand_out(ret_events, count);
  arm();
  return n;
}

size_t LiveListener::hand_out(const knell_event** ret_events, size_t count) {
  size_t n = 0;
  for (; next_ < batch_.size() && n < count; ++next_) {
    watch::Slot& slot = batch_[next_];
    if (!slot.ready) continue;
    slot.event.seq = ++seq_;
    ret_events[n++] = &slot.event;
  }
  // What is left over keeps the descriptor readable; once all is handed out it must not be.
  arm();
  return n;
}

// Looks what there is to do. Never blocks.
LiveListener::Due LiveListener::wait_for_nothing() {
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
      normaliser_->woken(static_cast<int32_t>(events[i].data.u64)), due.deaths = true;
  }
  if (due.timer) alarm_.rang();
  return due;
}

Result<void> LiveListener::serve(const Due& due) {
  const uint64_t now = clock_.monotonic_ns();
  normaliser_->begin_drain();
  if (health_ns_ != 0 && now >= health_ns_) {
    health_ns_ = now + kHealthNs;
    KNELL_TRY(source_->check_health(*this));
    sweep_ = kSweepATick;
  }
  const uint64_t paced = pacer_.plan().timer_ns;
  if (due.source || more_ || sweep_ > kSweepADrain || (paced != 0 && now >= paced)) return drain();
  return settle();
}

size_t LiveListener::bound() const {
  const size_t room = batch_.room();
  return room <= kSpareSlots ? 0 : (room - kSpareSlots) / 2;  // a fork may tell an exit as well
}

Result<void> LiveListener::drain() {
  ++drains_;
  KNELL_ASSIGN(const source::Drained drained, source_->drain(*this, bound()));
  more_ = drained == source::Drained::kMore;
  KNELL_TRY(settle());
  if (!more_) normaliser_->sweep(std::exchange(sweep_, kSweepADrain));
  watch_source(pacer_.drained(drained, clock_.monotonic_ns()).watch_fd);
  return {};
}

// Judges who is over, with their last words; see watch/deaths.cc.
Result<void> LiveListener::settle() {
  while (normaliser_->anything_noted()) {
    const size_t dead = normaliser_->judge();
    const size_t most = bound();
    if (dead > 0 && most > 0 && pidfds_ == nullptr) {
      KNELL_ASSIGN(const source::Drained drained, source_->drain(*this, most));
      more_ |= drained == source::Drained::kMore;
    }
    normaliser_->finish();
    if (batch_.room() <= kSpareSlots) {
      more_ = true;
      break;
    }
  }
  normaliser_->finish();
  return {};
}

void LiveListener::watch_source(bool watched) {
  if (watched == source_watched_) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSourceTag;
  // Taken out rather than masked: an overrun is EPOLLERR, which no mask holds back.
  (void)::epoll_ctl(epoll_.get(), watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, source_->fd(), &event);
  source_watched_ = watched;
}

// Sets the timer to whatever comes first.
void LiveListener::arm() {
  bool left = more_;
  for (size_t i = next_; !left && i < batch_.size(); ++i) left = batch_[i].ready;
  uint64_t at = left ? kSoonest : pacer_.plan().timer_ns;
  if (health_ns_ != 0 && (at == 0 || health_ns_ < at)) at = health_ns_;
  if (const uint64_t due = normaliser_->due_ns(); due != 0 && (at == 0 || due < at)) at = due;
  alarm_.set(at);
}

knell_stats LiveListener::stats() const {
  const source::Counters counters = source_->counters();
  const source::Capabilities capabilities = source_->capabilities();
  knell_stats all{};
  all.buffer_bytes = capabilities.buffer_bytes;
  all.received = counters.received;
  all.shown = seq_;
  all.lost = counters.lost;
  all.wakeups = wakeups_;
  all.drains = drains_;
  all.healed = counters.healed;
  all.processes = normaliser_->memory().table().size() + normaliser_->lineage().size();
  all.process_bytes = normaliser_->memory().table().bytes();
  all.forgotten = normaliser_->memory().table().forgotten();
  all.kernel_mask = kernel_mask_;
  all.kernel_filter = capabilities.kernel_filter ? 1 : 0;
  all.via = via();
  return all;
}

uint32_t LiveListener::via() const {
  return pidfds_ != nullptr ? KNELL_VIA_PIDFD : whole_ ? KNELL_VIA_BPF : KNELL_VIA_CONNECTOR;
}

wire::Origin LiveListener::origin() const {
  utsname about{};
  (void)::uname(&about);
  watch::Timebase time;
  time.take(clock_);
  wire::Origin origin;
  origin.knell = KNELL_VERSION;
  origin.kernel = std::string(about.sysname) + ' ' + about.release + ' ' + about.machine;
  origin.boot_id = read_boot_id();
  origin.clock = {.epoch_ns = time.epoch_ns, .boot_ahead_ns = time.boot_ahead_ns};
  origin.subscription = {.mask = choice_.mask,
                         .level = level_,
                         .details = details_,
                         .via = via(),
                         .started_ns = clock_.realtime_ns()};
  return origin;
}

}  // namespace knell::lib
