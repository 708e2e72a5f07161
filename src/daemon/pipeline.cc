// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Publishes the events of a feed to the hub. Datagrams of the kernel are published while they are
// read, by the observer, before the normaliser; events are published when the feed's batch is
// complete. For listeners that may not see all processes, each event needs the uid and namespace
// pids of its process. The bpf source includes them. Otherwise they are followed from the fork
// (watch/task_ids.h) and looked up when the event is created: later the pid may be reused.
#include "daemon/pipeline.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "filter/rule.h"
#include "watch/lineage.h"
#include "watch/translate.h"

namespace knell::daemon {
namespace {

constexpr uint64_t kSweepNs = 1'000'000'000;  // how often task_ids_ is searched for ended tasks
constexpr size_t kSweepAtLeast = 1024;
constexpr size_t kScannedARead = 8;       // picked: about a tenth of a millisecond
constexpr uint32_t kMostCpus = 1U << 16;  // limits memory: the number comes from a datagram

bool is_gone(int32_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

// Whether the subject of an event has run. The other source reports a fork before the child runs.
bool has_run(const event::Raw& raw) {
  if (raw.what == KNELL_EVENT_FORK || raw.what == KNELL_EVENT_PTRACE) return is_gone(raw.tid);
  return true;
}

// The event that the connector would have sent; docs/compat.md lists the differences.
std::optional<event::Raw> raw_of(const event::Full& full) {
  event::Raw raw;
  raw.what = full.what;
  raw.stamp_ns = full.stamp_ns;
  raw.pid = full.pid;
  raw.tid = full.tid;
  switch (full.what) {
    case KNELL_EVENT_FORK:
      raw.pid = full.u.child.pid;
      raw.tid = full.u.child.tid;
      raw.u.fork = {.parent_tid = full.pid, .parent_pid = full.pid};
      return raw;
    case KNELL_EVENT_EXEC:
      return raw;
    case KNELL_EVENT_EXIT: {
      const bool leader = full.tid == full.pid;
      raw.u.exit = {.code = static_cast<uint32_t>(full.u.exit.status),
                    .signal = full.u.exit.signal,
                    .parent_tid = leader ? full.ppid : 0,
                    .parent_pid = leader ? full.ppid : 0};
      return raw;
    }
    case KNELL_EVENT_COMM:
      std::copy_n(full.u.new_comm, sizeof raw.u.comm.name, raw.u.comm.name);
      return raw;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      raw.u.id = {.real = full.u.id.real, .effective = full.u.id.effective};
      return raw;
    case KNELL_EVENT_SID:
      return raw;
    case KNELL_EVENT_PTRACE:
      raw.u.ptrace = {.tracer_tid = full.u.ptrace.tracer_tid,
                      .tracer_pid = full.u.ptrace.tracer_pid};
      return raw;
    case KNELL_EVENT_COREDUMP:
      raw.u.coredump = {.parent_tid = full.ppid, .parent_pid = full.ppid};
      return raw;
    default:
      return std::nullopt;
  }
}

}  // namespace

Pipeline::Pipeline(Level level, uint32_t via, hub::Hub& hub, OnEvent on_event)
    : level_(level), via_(via), hub_(hub), on_event_(std::move(on_event)) {}

Result<void> Pipeline::open(const filter::Interest& interest, int64_t latency_ns) {
  const live::SourceOptions options{.via = via_};
  auto opened =
      live::Feed::open(options, latency_ns, interest, *this, this, live::UserNameLookup::kNo);
  if (!opened) {
    why_not_ = opened.error().message();
    return std::unexpected(std::move(opened).error());
  }
  feed_ = *std::move(opened);
  feed_->scan_later();
  return {};
}

Result<void> Pipeline::set_interest(const filter::Interest& interest, int64_t latency_ns) {
  if (interest.roots.size() > watch::Lineage::kMostRoots)
    return say(ENOSPC,
               "under: the daemon's listeners follow 64 processes all together, the most they can");
  const bool fresh = feed_ == nullptr;
  if (fresh) KNELL_TRY(open(interest, latency_ns));
  feed_->set_latency(latency_ns);
  if (auto asked = feed_->set_interest(interest); !asked) {
    if (fresh) close();
    return asked;
  }
  interest_ = interest;
  latency_ns_ = latency_ns;
  roots_ = interest.roots;
  shown_ = live::types_of(interest.mask) | KNELL_EVENT_LOST;
  if (task_ids_ != nullptr) task_ids_->set_reported_types(reported_types());
  return {};
}

void Pipeline::close() {
  if (feed_ == nullptr) return;
  const source::Counters counters = feed_->source().counters();
  past_.received += counters.received;
  past_.lost += counters.lost;
  past_.repaired += counters.repaired;
  past_drains_ += feed_->stats().drains;
  feed_.reset();
  interest_ = {};
  interest_.mask = 0;
  shown_ = 0;
  roots_.clear();
}

// The types of which every event is reported. The BPF programs drop forks that were not requested,
// and all events of processes that no listener asked for.
uint32_t Pipeline::reported_types() const {
  if (feed_ == nullptr) return 0;
  if (!feed_->full_events()) return feed_->kernel_mask();
  const bool of_all = !interest_.only_added && !interest_.only_under && interest_.pids.empty() &&
                      interest_.uids.empty() && interest_.cgroups.empty();
  return feed_->kernel_mask() & (KNELL_EVENT_UID | (of_all ? KNELL_EVENT_EXIT : 0));
}

void Pipeline::follow_task_ids(bool uids, bool levels) {
  if (!uids && !levels) {
    task_ids_.reset();
    by_level_ = false;
    return;
  }
  const bool fresh = task_ids_ == nullptr;
  if (fresh) {
    auto proc = watch::ProcReader::open();
    if (!proc) return;  // then uids are unknown, and scoped listeners get no events
    proc_ = *std::move(proc);
    task_ids_ = std::make_unique<watch::TaskIds>(*proc_, clock_);
  }
  if (fresh || levels != by_level_) {
    by_level_ = levels;
    task_ids_->want_levels(levels);
    task_ids_->set_reported_types(reported_types());
    task_ids_->begin_scan(clock_.monotonic_ns());
  }
}

Result<void> Pipeline::read() { return publish_batch(feed_->read()); }

// Stops at events newer than the start of the call. Otherwise it might never end, if events come
// faster than they are read.
Result<void> Pipeline::read_now() {
  const uint64_t until = clock_.monotonic_ns();
  for (bool all = false; !all && newest_ns_ < until;) {
    const auto read = feed_->read_now();
    KNELL_TRY(publish_batch(read ? Result<void>() : std::unexpected(read.error())));
    all = *read;
  }
  return {};
}

Result<void> Pipeline::publish_batch(Result<void> done) {
  watch::Batch& batch = feed_->batch();
  for (size_t i = 0; i < batch.size(); ++i)
    if (batch[i].ready) publish(batch[i]);
  for (const Ended& ended : std::exchange(ended_, {}))
    hub_.process_ended(stream(), ended.pid, ended.start, ended.levels);
  batch.clear();
  sweep();
  feed_->rearm(false);
  return done;
}

void Pipeline::sweep() {
  if (task_ids_ == nullptr) return;
  ScanBudget piece{.left = kScannedARead};
  (void)task_ids_->scan_some(piece);
  const uint64_t now = clock_.monotonic_ns();
  if (now < swept_ns_ + kSweepNs) return;
  swept_ns_ = now;
  task_ids_->sweep(kSweepAtLeast, now, is_gone);
}

// Listeners of threads usually want datagrams only, and then no events need to be created.
uint32_t Pipeline::mask() const {
  return level_ == Level::kProcesses || hub_.has_listeners(filter::Stream::kThreads) ? shown_ : 0;
}

bool Pipeline::wants(watch::Slot& slot, const filter::Ancestry& ancestry) {
  for (size_t i = 0; i < roots_.size(); ++i)
    if (ancestry.is_under(roots_[i], slot.event)) slot.note |= uint64_t{1} << i;
  if (task_ids_ == nullptr || slot.event.type == KNELL_EVENT_LOST) return true;
  if (by_level_ && !slot.levels_known) {
    const watch::Levels levels = watch::levels_of(slot.event, *task_ids_);
    slot.levels = feed_->batch().copy(levels.of());
    slot.levels_known = levels.known;
  }
  if ((slot.event.has & KNELL_HAS_UID) == 0) {
    if (const auto uid = task_ids_->uid_of(slot.event.pid, slot.event.mono_ns)) {
      slot.event.has |= KNELL_HAS_UID;
      slot.event.uid = *uid;
    }
  }
  return true;
}

void Pipeline::on_process_ended(int32_t pid, uint64_t start) {
  feed_->forget_pid(pid);
  Ended ended{.pid = pid, .start = start, .levels = {}};
  // For listeners in other pid namespaces, which added the process by its pid there.
  if (by_level_ && task_ids_ != nullptr)
    for (const event::NamespacePid& number : task_ids_->numbers_of(pid).of)
      ended.levels.push_back({.ns = number.ns, .pid = number.nr});
  ended_.push_back(std::move(ended));
}

void Pipeline::publish(watch::Slot& slot) {
  on_event_(feed_->batch(), slot);
  const knell_event& event = slot.event;
  hub::PublishedEvent published;
  published.stream = stream();
  published.type = event.type;
  published.zero = event.type == KNELL_EVENT_EXIT && (event.has & KNELL_HAS_STATUS) != 0 &&
                   event.wait_status == 0;
  published.stamp_ns = event.mono_ns;
  published.pid = event.pid;
  published.uid_known = (event.has & KNELL_HAS_UID) != 0;
  published.uid = event.uid;
  published.levels = slot.levels;
  published.levels_known = slot.levels_known;
  published.event = &event;
  hub_.publish(published, watch::RootBits(roots_, slot.note));
  // The exit of a thread is not the end of its process, which on_process_ended() reports.
  if (level_ != Level::kProcesses || event.type != KNELL_EVENT_EXIT || slot.levels.empty()) return;
  const uint64_t start = event.id.kind == KNELL_ID_START ? event.id.start : 0;
  hub_.process_ended(stream(), event.pid, start, slot.levels);
}

uint32_t Pipeline::next_number(uint32_t cpu) {
  cpu = std::min(cpu, kMostCpus - 1);
  if (cpu >= numbers_.size()) numbers_.resize(cpu + 1);
  return numbers_[cpu]++;
}

std::optional<event::Raw> Pipeline::translate(const event::Raw& raw, uint32_t ns) {
  if (task_ids_ == nullptr) return std::nullopt;
  return watch::translate(raw, ns, *task_ids_);
}

// The connector reports a fork a moment before bpf, but only bpf has the namespace pids of the
// child. So read what bpf has reported until now. If the fork is not among that, the pids are read
// from /proc, and searched again at the child's next event. Returns whether all forks inside
// namespaces up to now are known.
bool Pipeline::read_forks_before(uint64_t stamp_ns) {
  if (!by_level_ || !read_forks_ || stamp_ns < forks_read_ns_) return false;
  forks_read_ns_ = clock_.monotonic_ns();
  return read_forks_();
}

void Pipeline::on_raw(const event::Raw& raw) {
  newest_ns_ = raw.stamp_ns;
  if (raw.what == KNELL_EVENT_FORK) (void)read_forks_before(raw.stamp_ns);
  if (raw.what == KNELL_EVENT_LOST && on_births_lost_ &&
      (raw.u.lost.types == 0 || (raw.u.lost.types & KNELL_EVENT_FORK) != 0))
    on_births_lost_(raw.u.lost.count);
  if (task_ids_ != nullptr) task_ids_->on_raw(raw);
  if (level_ != Level::kThreads || raw.what == KNELL_EVENT_NONE) return;
  if (raw.what == KNELL_EVENT_LOST) return publish_lost(raw);
  publish(raw);
}

void Pipeline::on_full(const event::Full& full) {
  newest_ns_ = full.stamp_ns;
  if (task_ids_ != nullptr) task_ids_->on_full(full);
  if (on_full_) on_full_(full);
  if (level_ != Level::kThreads || full.for_levels_only) return;
  if (const auto raw = raw_of(full)) publish(*raw);
}

void Pipeline::on_fork(const event::Full& full) {
  if (task_ids_ != nullptr) task_ids_->on_full(full);
}

// The uids and pids of the lost children are unknown; those that are alive are read from /proc.
void Pipeline::on_births_lost(uint64_t count) {
  if (task_ids_ != nullptr) task_ids_->on_births_lost();
  if (on_births_lost_) on_births_lost_(count);
}

void Pipeline::publish(const event::Raw& original) {
  event::Raw raw = original;
  raw.seq = next_number(raw.cpu);
  hub::PublishedEvent published;
  published.stream = filter::Stream::kDatagrams;
  published.type = raw.what;
  published.zero = raw.what == KNELL_EVENT_EXIT && raw.u.exit.code == 0;
  published.stamp_ns = raw.stamp_ns;
  published.pid = raw.pid;
  if (hub_.has_user_scopes(filter::Stream::kDatagrams) && task_ids_ != nullptr) {
    const auto uid = task_ids_->uid_of(raw.pid, raw.stamp_ns);
    published.uid_known = uid.has_value();
    published.uid = uid.value_or(0);
  }
  if (hub_.has_namespace_scopes(filter::Stream::kDatagrams))
    published.levels = levels_of(raw, published.levels_known);
  published.raw = &raw;
  hub_.publish(published, watch::RootBits(roots_, 0));
}

// The pid namespaces of the event's subject, with its pids there.
std::span<const event::NamespacePids> Pipeline::levels_of(const event::Raw& raw, bool& known) {
  levels_.clear();
  if (task_ids_ == nullptr) return {};
  auto numbers = task_ids_->numbers_of(raw.tid, raw.stamp_ns);
  if (!numbers.known) {
    forks_read_ns_ = std::min(forks_read_ns_, raw.stamp_ns);
    const bool ran = has_run(raw);  // before the forks are read
    if (read_forks_before(raw.stamp_ns) && ran)
      task_ids_->settle_initial_namespace(raw.tid, raw.stamp_ns);
    numbers = task_ids_->numbers_of(raw.tid, raw.stamp_ns);
  }
  known = numbers.known;
  for (const event::NamespacePid& number : numbers.of)
    levels_.push_back({.ns = number.ns, .pid = number.nr});
  return levels_;
}

void Pipeline::close_after_failure() {
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.mono_ns = lost.lost_from_ns = lost.lost_until_ns = clock_.monotonic_ns();
  lost.time_ns = lost.lost_from_time_ns = lost.lost_until_time_ns = clock_.realtime_ns();
  lost.lost_types = shown_ & ~uint32_t{KNELL_EVENT_LOST};
  hub::PublishedEvent published;
  published.type = KNELL_EVENT_LOST;
  published.stamp_ns = lost.mono_ns;
  published.event = &lost;
  for (uint32_t& number : numbers_) ++number;
  published.stream = stream();
  hub_.publish(published, watch::RootBits(roots_, 0));
  published.stream = filter::Stream::kDatagrams;
  if (level_ == Level::kThreads) hub_.publish(published, watch::RootBits(roots_, 0));
  close();
}

// Lost events use up sequence numbers, so that clients that check the numbers notice the loss.
void Pipeline::publish_lost(const event::Raw& raw) {
  const uint64_t count = raw.u.lost.counted ? std::max<uint64_t>(raw.u.lost.count, 1) : 1;
  for (uint32_t& number : numbers_) number += static_cast<uint32_t>(count);
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.lost_count = count;
  lost.lost_types = raw.u.lost.types;
  hub::PublishedEvent published;
  published.stream = filter::Stream::kDatagrams;
  published.type = KNELL_EVENT_LOST;
  published.stamp_ns = raw.stamp_ns;
  published.event = &lost;
  hub_.publish(published, watch::RootBits(roots_, 0));
}

bool Pipeline::scan_some(ScanBudget& budget) {
  if (feed_ == nullptr) return true;
  return feed_->scan_some(budget) && (task_ids_ == nullptr || task_ids_->scan_some(budget));
}

Result<bool> Pipeline::scan_under_roots(ScanBudget& budget) {
  if (feed_ == nullptr) return true;
  return feed_->scan_under_roots(budget);
}

Result<void> Pipeline::add_pid(int32_t pid, uint64_t start, const filter::Interest& interest) {
  if (feed_ == nullptr) return say(EINVAL, "subscribe first");
  return feed_->add_pid(pid, start, interest);
}

void Pipeline::remove_pid(int32_t pid) {
  if (feed_ != nullptr) feed_->forget_pid(pid);  // sources of the kernel need nothing else
}

uint64_t Pipeline::received() const {
  return past_.received + (feed_ == nullptr ? 0 : feed_->source().counters().received);
}
uint64_t Pipeline::lost() const {
  return past_.lost + (feed_ == nullptr ? 0 : feed_->source().counters().lost);
}
uint64_t Pipeline::repaired() const {
  return past_.repaired + (feed_ == nullptr ? 0 : feed_->source().counters().repaired);
}
uint64_t Pipeline::drains() const {
  return past_drains_ + (feed_ == nullptr ? 0 : feed_->stats().drains);
}

}  // namespace knell::daemon
