// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A lost event (a hole) begins the comparison, which the feed advances after its drains. Only the
// source knows what an event of a process has: so it makes the recovered events too
// (Source::report_missed()), and they pass the reader's filter like all others.
//
// The hole was reported in its place, with a count of all events in it. So the recovered events are
// among those that a lost event counts: the events without KNELL_FLAG_RECOVERED and the counts
// together are what happened. The time of a recovered event is when it was found to be missing.
//
// A process gets one exit: an exit that comes after its process was reported as recovered is
// dropped. The kernel sends an exit within milliseconds, and kSettleNs has passed, so that is rare.
#include "feed/recovery.h"

#include <sys/resource.h>

#include <algorithm>

#include "process/timebase.h"

namespace knell::feed {
namespace {

// How long an exit may come after it was recovered. Another process can have the pid then, but its
// fork comes first.
constexpr uint64_t kRememberedNs = 1'000'000'000;  // chosen, not measured

// The source may hold half of the descriptors that this process may open.
size_t most_open() {
  constexpr size_t kMost = 4096;  // chosen, not measured
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 16;
  return std::min<size_t>(limit.rlim_cur / 4, kMost);
}

// 0: the types are unknown.
bool may_change_set(uint32_t types) {
  return types == 0 || (types & (KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT)) != 0;
}

}  // namespace

Recovery::Recovery(source::Sink& reader, process::KernelProcesses& kernel, const Clock& clock)
    : reader_(reader), clock_(clock), live_(kernel, clock, most_open()) {}

void Recovery::track(process::Tracked tracked, bool execs) {
  process::Timebase time;
  time.take(clock_);
  live_.track(tracked, execs, time.ticks(clock_.monotonic_ns()));
}

bool Recovery::was_recovered(int32_t pid, uint64_t start, uint64_t stamp_ns) const {
  const Reported* reported = reported_.find(pid);
  if (reported == nullptr || stamp_ns > reported->until_ns) return false;
  return start == 0 || start <= reported->start + 1;
}

bool Recovery::wants(source::Slot& slot, const filter::Ancestry& ancestry) {
  const knell_event& event = slot.event;
  if (reporting_) {
    slot.event.flags |= KNELL_FLAG_RECOVERED;
    const bool wanted = reader_.wants(slot, ancestry);
    recovered_ += wanted ? 1 : 0;
    return wanted;
  }
  if (live_.tracked() == process::Tracked::kNone) return reader_.wants(slot, ancestry);
  if (event.type == KNELL_EVENT_LOST && may_change_set(event.lost_types)) live_.on_lost();
  const uint64_t start = event.id.kind == KNELL_ID_START ? event.id.start : 0;
  if (event.type == KNELL_EVENT_EXEC) live_.executed(event.pid, start);
  if (event.type == KNELL_EVENT_EXIT && was_recovered(event.pid, start, event.mono_ns))
    return false;
  return reader_.wants(slot, ancestry);
}

void Recovery::on_process_ended(int32_t pid, uint64_t start,
                                std::span<const event::NamespacePids> levels) {
  if (!reporting_ && live_.tracked() != process::Tracked::kNone) {
    if (was_recovered(pid, start, clock_.monotonic_ns())) {
      reported_.erase(pid);
      return;
    }
    if (const auto before = live_.end(pid, start)) on_difference(*before);
  }
  reader_.on_process_ended(pid, start, levels);
}

void Recovery::on_process_begun(int32_t pid, uint64_t start, bool exact) {
  if (live_.tracked() == process::Tracked::kNone) return;
  reported_.erase(pid);
  if (const auto before = live_.begin(pid, start, exact)) on_difference(*before);
  reported_.erase(pid);
}

void Recovery::on_difference(const process::LiveSet::Difference& difference) {
  const uint64_t now = clock_.monotonic_ns();
  source::Missed missed{.type = KNELL_EVENT_EXIT,
                        .pid = difference.pid,
                        .ppid = difference.ppid,
                        .start = difference.start,
                        .exact = difference.exact,
                        .status = difference.status,
                        .found_ns = now};
  using Kind = process::LiveSet::Difference::Kind;
  if (difference.kind == Kind::kBegun) missed.type = KNELL_EVENT_FORK;
  if (difference.kind == Kind::kExecuted) missed.type = KNELL_EVENT_EXEC;
  reporting_ = true;
  source_->report_missed(missed);
  reporting_ = false;
  if (difference.kind != Kind::kEnded) return;
  reported_.sweep(2, [&](int32_t, const Reported& old) { return old.until_ns < now; });
  *reported_.emplace(difference.pid).first = {.start = difference.start,
                                              .until_ns = now + kRememberedNs};
}

}  // namespace knell::feed
