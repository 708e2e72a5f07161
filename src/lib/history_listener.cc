// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/history_listener.h"

#include <sys/epoll.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/boot_id.h"
#include "event/fields.h"
#include "wire/origin.h"

namespace knell::lib {
namespace {

// of the clock at the boot, before NTP
constexpr int64_t kClockErrorNs = int64_t{86'400} * 1'000'000'000;

}  // namespace

HistoryListener::HistoryListener(const knell_history_options& options)
    : knell_listener(ListenerFilter{}), options_(options) {
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
  alarm_.set(feed::kAlarmNow);
  return {};
}

Result<void> HistoryListener::poll_readable(int fd) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kReadable;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return errno_error("poll a descriptor");
  return {};
}

Result<void> HistoryListener::match(std::span<const filter::Predicate> more) {
  filter::Predicates wider = filter_.predicates;
  KNELL_TRY(wider.add(more));
  for (const filter::Root& root : wider.needs().roots) {
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

bool HistoryListener::may_want(uint32_t type, bool nonzero) const {
  // The ancestors of processes are computed from all events.
  return has_roots_ || filter::passes(filter_.subscription.rule, filter_.subscription.mask, type,
                                      nonzero ? 1 : 0);
}

bool HistoryListener::wants(knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return boot_ == 0 || event.time_ns >= boot_time_ns_;
  if (boot_ != 0 && event.id.kind != KNELL_ID_NONE && event.id.boot != boot_) return false;
  if (!has_roots_) return filter_.wants(event, descent_);
  descent_.learn(event);
  const bool wanted = filter_.wants(event, descent_);
  if (event.type == KNELL_EVENT_EXIT && event.tid == event.pid) descent_.on_exit(event.pid);
  return wanted;
}

void HistoryListener::forget_descent() {
  descent_ = {};
  for (const filter::Root& root : filter_.predicates.needs().roots) (void)descent_.follow(root);
}

void HistoryListener::finish(size_t slot) {
  knell_event& event = slots_[slot];
  event::note_presence<event::kFields>(event);
  ++returned_;
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
