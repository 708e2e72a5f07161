// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Publishes the events of a feed to the hub: events of threads while they are read, as datagrams;
// finished events when the feed's batch is complete. For listeners that may not see all processes
// the source adds the uid and the namespace pids of each event's process (Interest::owners and
// namespaces).
//
// The connector does not report the pids of a child in its namespaces, and the child may have ended
// before they are read in /proc. bpf reports them. So the pipeline of threads, if its source is the
// connector, reads the births of the pipeline of processes.
#include "daemon/pipeline.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "daemon/lost_until_now.h"
#include "event/mask.h"
#include "process/root_set.h"

namespace knell::daemon {
namespace {

// Limits memory, since the CPU number is read from a datagram
constexpr uint32_t kMostCpus = 1U << 16;
// chosen, not measured: further births are reported as lost
constexpr size_t kMostBirths = 65'536;

}  // namespace

Pipeline::Pipeline(Level level, const source::SourceOptions& options, hub::Hub& hub,
                   OnEvent on_event, Pipeline* births)
    : level_(level), options_(options), hub_(hub), on_event_(std::move(on_event)), other_(births) {}

Result<void> Pipeline::open(const filter::Interest& interest, const filter::Latency& latency) {
  source::SourceOptions options = options_;
  options.births = other_;
  options.load_all = true;  // the daemon drops the capabilities that loading needs
  options.kept = kept_;
  const uint64_t now_ns = clock_.monotonic_ns();
  KNELL_ASSIGN(feed_, feed::Feed::open(options, latency, interest, *this));
  feed_->scan_later();
  if (!std::exchange(newest_restored_, false)) newest_ns_ = now_ns;
  return {};
}

Result<void> Pipeline::set_interest(const filter::Interest& interest,
                                    const filter::Latency& latency) {
  if (interest.roots.size() > process::RootSet::kMost)
    return say(ENOSPC,
               "under: all listeners of the daemon together can name at most 64 processes, and "
               "this limit is reached; try again later");
  const bool fresh = feed_ == nullptr;
  if (fresh) KNELL_TRY(open(interest, latency));
  feed_->set_latency(latency);
  if (auto asked = feed_->set_interest(interest); !asked) {
    if (fresh) close();
    return asked;
  }
  interest_ = interest;
  unsaved_ = true;  // for example, the set of attached programs
  latency_ = latency;
  roots_ = interest.roots;
  shown_ = event::types_of(interest.mask) | KNELL_EVENT_LOST;
  return {};
}

void Pipeline::close() {
  newest_restored_ = false;
  newest_ns_ = 0;
  if (feed_ == nullptr) return;
  const source::Counters counters = feed_->source().counters();
  past_.received += counters.received;
  past_.lost += counters.lost;
  past_.repaired += counters.repaired;
  past_.lost_by_types = lost_by_types();
  past_drains_ += feed_->stats().drains;
  past_recovered_ += feed_->recovery().recovered();
  feed_.reset();
  interest_ = {};
  interest_.mask = 0;
  shown_ = 0;
  roots_.clear();
  failed_ = {};
  births_.clear();
  births_lost_ = false;
}

Result<void> Pipeline::read() {
  KNELL_TRY(std::exchange(failed_, {}));
  return publish_batch(feed_->read());
}

// Stops at events newer than the start of the call. Otherwise it might never end, if events arrive
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
  unsaved_ = true;
  event::Batch& batch = feed_->batch();
  for (size_t i = 0; i < batch.size(); ++i)
    if (batch[i].ready) publish(batch[i]);
  for (const Ended& ended : std::exchange(ended_, {})) {
    hub_.process_ended(stream(), ended.pid, ended.start, ended.levels);
    // A process that has this pid now may have been added before the exit was read.
    if (!hub_.is_added(ended.pid)) remove_pid(ended.pid);
  }
  batch.clear();
  feed_->rearm(false);
  return done;
}

// Listeners of threads usually want datagrams only, and then no events need to be created.
uint32_t Pipeline::types() const {
  return level_ == Level::kProcesses || hub_.has_listeners(filter::Stream::kThreads) ? shown_ : 0;
}

bool Pipeline::wants(event::Slot& slot, const filter::Ancestry& ancestry) {
  // The stamp of a pidfd's exit, or of a recovered event, is the time of its detection.
  if (slot.event.via != KNELL_VIA_PIDFD && (slot.event.flags & KNELL_FLAG_RECOVERED) == 0)
    newest_ns_ = slot.event.mono_ns;
  for (size_t i = 0; i < roots_.size(); ++i)
    if (ancestry.is_under(roots_[i], slot.event)) slot.note |= uint64_t{1} << i;
  return true;
}

void Pipeline::on_process_ended(int32_t pid, uint64_t start,
                                std::span<const event::NamespacePids> levels) {
  ended_.push_back({.pid = pid, .start = start, .levels = {levels.begin(), levels.end()}});
}

void Pipeline::publish(event::Slot& slot) {
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
  hub_.publish(published, filter::RootBits(roots_, slot.note));
}

uint32_t Pipeline::next_number(uint32_t cpu) {
  cpu = std::min(cpu, kMostCpus - 1);
  unsaved_numbers_ = true;
  if (cpu >= numbers_.size()) numbers_.resize(cpu + 1);
  return numbers_[cpu]++;
}

// ------------------------------------------------------------------------------------ datagrams

void Pipeline::on_thread_event(const event::Raw& original, const source::Owner& owner) {
  newest_ns_ = original.stamp_ns;
  if (original.what == KNELL_EVENT_LOST) return publish_lost(original);
  event::Raw raw = original;
  raw.seq = next_number(raw.cpu);
  hub::PublishedEvent published;
  published.stream = filter::Stream::kDatagrams;
  published.type = raw.what;
  published.zero = raw.what == KNELL_EVENT_EXIT && raw.u.exit.code == 0;
  published.stamp_ns = raw.stamp_ns;
  published.pid = raw.pid;
  published.uid_known = owner.uid.has_value();
  published.uid = owner.uid.value_or(0);
  published.levels = owner.levels;
  published.levels_known = owner.levels_known;
  published.raw = &raw;
  hub_.publish(published, filter::RootBits(roots_, 0));
}

// Lost events use up sequence numbers, so that clients that check the numbers detect the loss.
void Pipeline::publish_lost(const event::Raw& raw) {
  const uint64_t count = raw.u.lost.counted ? std::max<uint64_t>(raw.u.lost.count, 1) : 1;
  for (uint32_t& number : numbers_) number += static_cast<uint32_t>(count);
  unsaved_numbers_ = true;
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
  hub_.publish(published, filter::RootBits(roots_, 0));
}

void Pipeline::close_after_failure() {
  publish_gap();
  close();
}

void Pipeline::restore_newest(uint64_t newest_ns) {
  newest_ns_ = newest_ns;
  newest_restored_ = true;
}

// If the last event is unknown, the lost event begins at the boot, where CLOCK_MONOTONIC is 0.
void Pipeline::publish_gap() {
  const uint64_t now_ns = clock_.monotonic_ns();
  knell_event lost =
      lost_until_now(now_ns - std::min(now_ns, newest_ns_), now_ns, clock_.realtime_ns());
  lost.lost_types = shown_ & ~uint32_t{KNELL_EVENT_LOST};
  hub::PublishedEvent published;
  published.type = KNELL_EVENT_LOST;
  published.stamp_ns = lost.mono_ns;
  published.event = &lost;
  for (uint32_t& number : numbers_) ++number;
  unsaved_numbers_ = true;
  published.stream = stream();
  hub_.publish(published, filter::RootBits(roots_, 0));
  published.stream = filter::Stream::kDatagrams;
  if (level_ == Level::kThreads) hub_.publish(published, filter::RootBits(roots_, 0));
}

void Pipeline::save(bool whole) {
  if (kept_ == nullptr) return;
  if (feed_ != nullptr && (unsaved_ || whole)) feed_->save(whole);
  unsaved_ = false;
}

void Pipeline::saved() {
  if (feed_ != nullptr) feed_->saved();
}

std::string Pipeline::take_numbers(bool whole) {
  if (!std::exchange(unsaved_numbers_, false) && !whole) return {};
  return {reinterpret_cast<const char*>(numbers_.data()), numbers_.size() * sizeof numbers_[0]};
}

void Pipeline::restore_numbers(std::string_view saved) {
  numbers_.resize(std::min<size_t>(saved.size() / sizeof numbers_[0], kMostCpus));
  std::memcpy(numbers_.data(), saved.data(), numbers_.size() * sizeof numbers_[0]);
}

// --------------------------------------------------------------------------------------- births

bool Pipeline::reports_births() const {
  return feed_ != nullptr && feed_->source().capabilities().births;
}

void Pipeline::keep_births(bool keep) {
  keeps_births_ = keep;
  if (!keep) births_.clear();
}

void Pipeline::on_birth(const process::Birth& birth) {
  newest_ns_ = birth.stamp_ns;
  if (!keeps_births_) return;
  if (births_.size() >= kMostBirths) {
    births_.clear();
    births_lost_ = true;
  }
  births_.push_back({.birth = birth, .levels = {birth.levels.begin(), birth.levels.end()}});
}

process::Births::Read Pipeline::read_births(const PassBirth& pass) {
  if (feed_ == nullptr || !keeps_births_) return {};
  if (failed_) failed_ = read_now();
  for (const KeptBirth& kept : std::exchange(births_, {})) {
    process::Birth birth = kept.birth;
    birth.levels = kept.levels;
    pass(birth);
  }
  const bool lost = std::exchange(births_lost_, false);
  return {.complete = failed_ && interest_.namespaces && !lost, .lost = lost};
}

// -------------------------------------------------------------------------------- other functions

bool Pipeline::scan_some(ScanBudget& budget) {
  return feed_ == nullptr || feed_->scan_some(budget);
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
  if (feed_ != nullptr) std::ignore = feed_->remove_pid(pid);
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
std::map<uint32_t, uint64_t> Pipeline::lost_by_types() const {
  std::map<uint32_t, uint64_t> all = past_.lost_by_types;
  if (feed_ == nullptr) return all;
  for (const auto& [types, lost] : feed_->source().counters().lost_by_types) all[types] += lost;
  return all;
}
uint64_t Pipeline::recovered() const {
  return past_recovered_ + (feed_ == nullptr ? 0 : feed_->recovery().recovered());
}
uint64_t Pipeline::drains() const {
  return past_drains_ + (feed_ == nullptr ? 0 : feed_->stats().drains);
}

}  // namespace knell::daemon
