// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_read() first returns the events that the last read of the feed left in its batch. It reads
// the feed again only when the batch is empty.
//
// Sources do not restore their state when memory runs out in the middle of a call: records that
// were read from the kernel may be lost, and the entry of a table may be incomplete. So the source
// is closed and a new one is opened, and a lost event has the time since which events may be
// missing. Events that were complete are returned before.
#include "lib/live_listener.h"

#include <new>
#include <string>
#include <tuple>
#include <utility>

#include "base/boot_id.h"
#include "base/named_process.h"
#include "base/rollback.h"
#include "event/fields.h"
#include "event/mask.h"
#include "filter/rule.h"

namespace knell::lib {
namespace {

// How long fd() is not readable after memory ran out; chosen, not measured, so that a poll loop
// uses little CPU while memory is short.
constexpr uint64_t kRetryNs = 10'000'000;

}  // namespace

LiveListener::LiveListener(const knell_options& options)
    : knell_listener(ListenerFilter::of(options)) {}

LiveListener::~LiveListener() = default;

Result<std::unique_ptr<LiveListener>> LiveListener::create(const knell_options& options) {
  std::unique_ptr<LiveListener> listener(new LiveListener(options));
  const source::SourceOptions source{
      .via = options.via, .buffer_bytes = options.buffer_bytes, .args_bytes = options.args_bytes};
  KNELL_ASSIGN(listener->feed_,
               feed::Feed::open(source, filter::latency_of(listener->filter_.subscription),
                                listener->filter_.interest(), static_cast<Sink&>(*listener)));
  KNELL_TRY(listener->apply());
  listener->last_ns_ = system_clock().monotonic_ns();
  return listener;
}

template <class F>
Result<void> LiveListener::with_source(F call) {
  if (unusable_) return {};
  try {
    return call();
  } catch (const std::bad_alloc&) {
    unusable_ = true;
    feed_->suspend(system_clock().monotonic_ns() + kRetryNs);
    throw;
  }
}

Result<void> LiveListener::replace_source() {
  const filter::Interest interest = filter_.interest();
  KNELL_TRY(feed_->replace_source(interest, last_ns_));
  std::vector<int32_t> gone;
  Result<void> added;
  filter_.added.for_each([&](int32_t pid, const ListenerFilter::Added& one) {
    if (added) added = feed_->add_pid(pid, one.start, interest);
    if (added || added.error().code != ESRCH) return;
    added = {};
    gone.push_back(pid);
  });
  KNELL_TRY(added);
  for (const int32_t pid : gone) filter_.added.erase(pid);
  filter_.replaced.clear();  // their exits were lost
  unusable_ = false;
  return {};
}

Result<void> LiveListener::apply() {
  const filter::Interest interest = filter_.interest();
  KNELL_TRY(with_source([&] { return feed_->set_interest(interest); }));
  shown_ = event::types_of(interest.mask) & event::types_of(interest.possible);
  shown_ |= KNELL_EVENT_LOST;
  return {};
}

Result<void> LiveListener::match(std::span<const filter::Predicate> more) {
  filter::Predicates wider = filter_.predicates;
  KNELL_ASSIGN(const auto found, ListenerFilter::with_starts(more));
  KNELL_TRY(wider.add(found));
  std::swap(filter_.predicates, wider);
  Rollback undo([&] { std::swap(filter_.predicates, wider); });
  KNELL_TRY(apply());
  undo.keep();
  return {};
}

Result<void> LiveListener::set_events(uint32_t mask) {
  const uint32_t before = std::exchange(filter_.subscription.mask, filter::normalise(mask));
  Rollback undo([&] { filter_.subscription.mask = before; });
  KNELL_TRY(apply());
  undo.keep();
  return {};
}

Result<void> LiveListener::add(pid_t pid, uint64_t start, uint64_t cookie) {
  if (pid <= 0) return say(EINVAL, "a process id must be above 0, not " + std::to_string(pid));
  const bool only_added = filter_.subscription.only_added;
  KNELL_TRY(read_exit_before(pid, start));
  const bool is_reused = filter_.added.find(pid) != nullptr;
  if (unusable_) KNELL_TRY(open_named_process(pid, start));
  if (only_added) filter_.add(pid, start, cookie);
  Rollback undo([&] {
    if (only_added) filter_.remove(pid);
  });
  const auto added = with_source([&] { return feed_->add_pid(pid, start, filter_.interest()); });
  if (!added && is_reused && added.error().code == EEXIST)
    return say(EAGAIN, "the exit of an earlier process " + std::to_string(pid) +
                           " must be read first: call knell_read()");
  KNELL_TRY(added);
  undo.keep();
  return {};
}

// A process with this pid may have been added before, and its exit may not have been read yet: then
// reads the source, so that the exit gets its own cookie. The exit is returned by the next read().
// The start is read in this case only: that takes several times as long as to add a process.
// Errors: EEXIST it is the same process, or that is unknown.
Result<void> LiveListener::read_exit_before(pid_t pid, uint64_t& start) {
  const ListenerFilter::Added* before = filter_.added.find(pid);
  if (before == nullptr) return {};
  if (start == 0) start = start_of_named(pid);
  if (start == 0 || before->start != start) {
    reads_exit_of_ = pid;
    exited_ = {};
    const auto read = with_source([&]() -> Result<void> {
      KNELL_TRY(feed_->read_now());
      feed_->rearm(true);
      return {};
    });
    reads_exit_of_ = 0;
    KNELL_TRY(read);
    before = filter_.added.find(pid);
  }
  bool is_other = (before != nullptr ? *before : exited_).is_before(start);
  // Otherwise the exit may be that of the process itself, which is not reaped yet.
  if (UniqueFd pidfd; before == nullptr && !is_other)
    is_other = life_of(pid, start, pidfd) == Life::kAlive;
  if (!is_other)
    return say(EEXIST, "process " + std::to_string(pid) + " was already added to this listener");
  // Its exit was lost, or the source needs more time to report it. The exit of one before it was
  // lost: exits of processes with the same pid are read in their order.
  filter_.replaced.erase(pid);
  return {};
}

Result<void> LiveListener::remove(pid_t pid) {
  if (filter_.added.find(pid) == nullptr)
    return say(ENOENT, "process " + std::to_string(pid) + " was not added to this listener");
  auto removed = with_source([&] { return feed_->remove_pid(pid); });
  filter_.remove(pid);
  return removed;
}

bool LiveListener::wants(event::Slot& slot, const filter::Ancestry& ancestry) {
  knell_event& event = slot.event;
  if (event.type == KNELL_EVENT_LOST) {
    // The source counts all events that were requested from it, so the count is exact only for a
    // listener that receives all of them.
    const bool all = filter_.predicates.empty() && !filter_.subscription.only_added &&
                     feed_->kernel_mask() == filter_.subscription.mask;
    if (!all) event.flags &= ~KNELL_FLAG_EXACT;
    return ListenerFilter::limit_lost(event, shown_ & ~uint32_t{KNELL_EVENT_LOST});
  }
  return filter_.wants(event, ancestry);
}

void LiveListener::on_process_ended(int32_t pid, uint64_t start,
                                    std::span<const event::NamespacePids>) {
  if (pid == reads_exit_of_) exited_.start = start;
  if (!filter_.remove_exited(pid, start) || filter_.added.find(pid) != nullptr) return;
  filter_.replaced.erase(pid);  // see read_exit_before()
  std::ignore = feed_->remove_pid(pid);
}

Result<size_t> LiveListener::read(const knell_event** ret_events, size_t count) {
  if (count == 0) return 0;
  if (const size_t n = return_events(ret_events, count); n > 0) return n;
  feed_->batch().clear();
  next_ = 0;
  if (unusable_) {
    Rollback again([this] { feed_->suspend(system_clock().monotonic_ns() + kRetryNs); });
    KNELL_TRY(replace_source());
    again.keep();
  } else {
    KNELL_TRY(with_source([&] { return feed_->read(); }));
  }
  return return_events(ret_events, count);
}

size_t LiveListener::return_events(const knell_event** ret_events, size_t count) {
  event::Batch& batch = feed_->batch();
  size_t n = 0;
  for (; next_ < batch.size() && n < count; ++next_) {
    event::Slot& slot = batch[next_];
    if (!slot.ready) continue;
    event::note_presence<event::kFields>(slot.event);
    slot.event.seq = ++seq_;
    last_ns_ = std::max(last_ns_, slot.event.mono_ns);
    ret_events[n++] = &slot.event;
  }
  // The descriptor must be readable while events are left, and not readable afterwards.
  bool left = false;
  for (size_t i = next_; !left && i < batch.size(); ++i) left = batch[i].ready;
  if (unusable_)
    feed_->suspend(left ? feed::kAlarmNow : system_clock().monotonic_ns() + kRetryNs);
  else
    feed_->rearm(left);
  return n;
}

knell_stats LiveListener::stats() const {
  knell_stats all = feed_->stats();
  all.shown = seq_;
  return all;
}

wire::Origin LiveListener::origin() const {
  wire::Origin origin = wire::origin_here(system_clock(), boot_id());
  origin.subscription.mask = filter_.subscription.mask;
  origin.subscription.level = filter_.level();
  origin.subscription.details = filter_.subscription.details;
  origin.subscription.via = feed_->via();
  return origin;
}

}  // namespace knell::lib
