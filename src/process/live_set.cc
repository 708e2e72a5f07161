// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The comparison of the set with the kernel's processes. Events of the same processes are still
// queued while it reads /proc, so nothing is decided by what it read alone:
//
//   kListing   reads all processes, a piece at a time. What differs from the set becomes a
//              candidate: a known process that is gone or a zombie, or whose pid another process
//              has; a process that is not known.
//   kSettling  waits until all events from before the end of the list were read, and for kSettleNs
//              more, since a process may be gone before the kernel sends its exit.
//   kDeciding  A process that is still in the set, although it was gone then, has lost its exit. A
//              process that is alive and still not in the set has lost its fork. If its event came
//              in the meantime, the set has changed, and the candidate is dropped.
//
// So each event that was lost is reported once, also if further events are lost meanwhile: another
// comparison follows then. A process that began and ended between two comparisons is unknown. A pid
// that is in use again shows in the start time, or in the fork event of the later process.
//
// Only a process that began after track() can have lost its fork; those from before were read by
// scan_some(), or ended before they were read.
#include "process/live_set.h"

#include <algorithm>
#include <utility>

namespace knell::process {

void LiveSet::track(Tracked tracked, bool execs, uint64_t now_ticks) {
  const bool more_execs = execs && !std::exchange(execs_, execs);
  const Tracked before = std::exchange(tracked_, tracked);
  if (before == tracked) {
    if (!more_execs || tracked != Tracked::kAll) return;
    cancel();
    unread_ = true;  // which processes have called exec
    return;
  }
  cancel();
  if (tracked == Tracked::kAll) {
    since_ticks_ = now_ticks;
    unread_ = true;
    return;
  }
  unread_ = false;
  std::vector<int32_t> others;
  if (table_ != nullptr)
    table_->for_each_live([&](int32_t pid, const Life& known) {
      if (tracked == Tracked::kNone || !known.named) others.push_back(pid);
    });
  for (const int32_t pid : others) erase(pid);
  if (tracked == Tracked::kNone) lost_ = false;
}

// The comparison that runs is given up, and begun again later.
void LiveSet::cancel() {
  lost_ |= phase_ == Phase::kListing || phase_ == Phase::kSettling || phase_ == Phase::kDeciding;
  phase_ = Phase::kIdle;
  candidates_ = {};
}

size_t LiveSet::bytes() const {
  return pidfds_.bytes() + candidates_.capacity() * sizeof(Candidate) +
         named_.capacity() * sizeof(int32_t);
}

void LiveSet::use(ProcessTable* table) {
  if (table_ != nullptr && table != nullptr) table->move_live_from(*table_);
  table_ = table;
}

// nullptr: the table is full, so a lost exit of this process will not be found.
Life* LiveSet::add(int32_t pid, uint64_t start, bool exact) {
  pidfds_.erase(pid);
  Life* known = table_->add_live(pid);
  if (known == nullptr) return nullptr;
  known->start = start;
  known->exact = exact;
  known->round = round_;
  return known;
}

void LiveSet::erase(int32_t pid) {
  pidfds_.erase(pid);
  table_->remove_live(pid);
}

void LiveSet::open(int32_t pid) {
  if (pidfds_.size() >= most_open_ || pidfds_.find(pid) != nullptr) return;
  if (UniqueFd pidfd = kernel_.open(pid)) *pidfds_.emplace(pid).first = std::move(pidfd);
}

// ------------------------------------------------------------------------------------------ events

void LiveSet::follow(int32_t pid, uint64_t start) {
  if (tracked_ == Tracked::kNone) return;
  UniqueFd pidfd = pidfds_.size() < most_open_ ? kernel_.open(pid) : UniqueFd();
  // After the descriptor was opened, so that it is of the process with this start.
  const auto state = kernel_.state_of(pid);
  if (!state || (start != 0 && state->start != start)) return;
  Life* known = table_->find_live(pid);
  if (known == nullptr || !is_same(*known, state->start)) known = add(pid, state->start, true);
  if (known == nullptr) return;
  known->named = true;
  known->executed = state->executed;
  if (pidfd && pidfds_.find(pid) == nullptr) *pidfds_.emplace(pid).first = std::move(pidfd);
}

void LiveSet::unfollow(int32_t pid) {
  Life* known = find(pid);
  if (known == nullptr) return;
  if (tracked_ != Tracked::kAll) return erase(pid);
  known->named = false;
  pidfds_.erase(pid);
}

std::optional<LiveSet::Difference> LiveSet::begin(int32_t pid, uint64_t start, bool exact) {
  Life* known = find(pid);
  std::optional<Difference> before;
  executed_unknown_.erase(pid);
  if (known != nullptr) {
    // It was read in /proc, or named, while its fork event was still queued.
    if (known->exact && known->start + 1 >= start) return std::nullopt;
    before = take_ended(pid, *known);
  }
  if (tracked_ == Tracked::kAll) add(pid, start, exact);
  return before;
}

void LiveSet::executed(int32_t pid, uint64_t start) {
  Life* known = find(pid);
  if (known != nullptr && start <= known->start + 1)
    known->executed = true;
  else if (execs_ && tracked_ == Tracked::kAll && (due_ns() != 0 || start > since_ticks_))
    *executed_unknown_.emplace(pid).first = {.start = start, .round = round_};
}

std::optional<LiveSet::Difference> LiveSet::end(int32_t pid, uint64_t start) {
  executed_unknown_.erase(pid);
  const Life* known = find(pid);
  if (known == nullptr) return std::nullopt;
  if (start != 0 && start + 1 < known->start) return std::nullopt;  // of a later process
  if (start > known->start + 1) return take_ended(pid, *known);
  erase(pid);
  return std::nullopt;
}

LiveSet::Difference LiveSet::take_ended(int32_t pid, const Life& known) {
  const UniqueFd none;
  const UniqueFd* pidfd = pidfds_.find(pid);
  const Difference difference{.pid = pid,
                              .start = known.start,
                              .exact = known.exact,
                              .status = kernel_.status_of(pid, pidfd == nullptr ? none : *pidfd)};
  erase(pid);
  return difference;
}

// ------------------------------------------------------------------------------------------- scans

bool LiveSet::scan_some(ScanBudget& budget) {
  if (std::exchange(unread_, false)) {
    phase_ = Phase::kReading;
    kernel_.begin_list();
  }
  while (phase_ == Phase::kReading && budget.left > 0) {
    const int32_t pid = kernel_.next_pid();
    if (pid == 0)
      phase_ = Phase::kIdle;
    else
      read_one(pid);
    budget.spend(1);
  }
  return phase_ != Phase::kReading;
}

// The exit of a zombie may have been sent before events were received, so zombies are not added.
// The fork of a process that began later is still queued, or a comparison finds that it was lost.
void LiveSet::read_one(int32_t pid) {
  const auto state = kernel_.state_of(pid);
  if (!state || state->ended) return;
  Life* known = find(pid);
  if (known == nullptr && state->start <= since_ticks_) known = add(pid, state->start, true);
  if (known != nullptr && is_same(*known, state->start)) known->executed |= state->executed;
}

// -------------------------------------------------------------------------------------- comparison

uint64_t LiveSet::due_ns() const {
  switch (phase_) {
    case Phase::kIdle:
      if (!lost_) return 0;
      return unread_ ? 1 : std::max<uint64_t>(began_ns_ + kEveryNs, 1);
    case Phase::kSettling:
      return listed_ns_ + kSettleNs;
    case Phase::kReading:
      return lost_ ? 1 : 0;
    case Phase::kListing:
    case Phase::kDeciding:
      break;
  }
  return 1;
}

void LiveSet::advance(ScanBudget& budget, uint64_t read_until_ns, Report& report) {
  if (tracked_ == Tracked::kNone) return;
  if (lost_ && (unread_ || phase_ == Phase::kReading) && !scan_some(budget)) return;
  if (phase_ == Phase::kIdle && lost_ && clock_.monotonic_ns() >= began_ns_ + kEveryNs)
    begin_comparison();
  while (phase_ == Phase::kListing && budget.left > 0) {
    const int32_t pid = tracked_ == Tracked::kAll ? kernel_.next_pid()
                        : named_.empty()          ? 0
                                                  : named_.back();
    if (pid == 0) {
      end_listing();
      break;
    }
    if (tracked_ != Tracked::kAll) named_.pop_back();
    compare_one(pid);
    budget.spend(1);
  }
  if (phase_ == Phase::kSettling && read_until_ns >= listed_ns_ + kSettleNs)
    phase_ = Phase::kDeciding;
  while (phase_ == Phase::kDeciding && budget.left > 0) {
    if (candidates_.empty()) {
      return end_comparison();
    }
    if (!report.has_room()) return;
    Candidate candidate = candidates_.back();
    candidates_.pop_back();
    decide(candidate, report);
    budget.spend(1);
  }
}

void LiveSet::begin_comparison() {
  lost_ = false;
  began_ns_ = clock_.monotonic_ns();
  ++round_;
  phase_ = Phase::kListing;
  if (tracked_ == Tracked::kAll) return kernel_.begin_list();
  named_.clear();
  table_->for_each_live([&](int32_t pid, const Life&) { named_.push_back(pid); });
}

void LiveSet::compare_one(int32_t pid) {
  const auto state = kernel_.state_of(pid);
  Life* known = find(pid);
  const bool same = known != nullptr && state && is_same(*known, state->start);
  if (same && !state->ended) {
    known->round = round_;
    if (execs_ && state->executed && !known->executed)
      candidates_.push_back({Difference::Kind::kExecuted, pid, state->start, true});
    return;
  }
  // A descriptor that is opened before the process is reaped has its status afterwards.
  if (same) open(pid);
  if (!same && state && !state->ended && tracked_ == Tracked::kAll)
    candidates_.push_back({Difference::Kind::kBegun, pid, state->start, state->executed});
}

void LiveSet::end_listing() {
  listed_ns_ = clock_.monotonic_ns();
  if (tracked_ == Tracked::kAll && kernel_.list_failed()) {
    cancel();
    return;
  }
  std::ranges::reverse(candidates_);  // they are decided from the end: parents first
  // The ended ones before all others: one may have had the pid of a new one.
  table_->for_each_live([&](int32_t pid, const Life& known) {
    if (known.round != round_) candidates_.push_back({Difference::Kind::kEnded, pid, known.start});
  });
  if (candidates_.empty()) return end_comparison();
  phase_ = Phase::kSettling;
}

// An exec that came before this comparison began is of a process that it has found, or that ended.
void LiveSet::end_comparison() {
  phase_ = Phase::kIdle;
  candidates_ = {};
  executed_unknown_.sweep(executed_unknown_.size(), [&](int32_t, const Executed& executed) {
    return executed.round != round_;
  });
}

void LiveSet::decide(Candidate& candidate, Report& report) {
  const int32_t pid = candidate.pid;
  Life* known = find(pid);
  const auto state = kernel_.state_of(pid);
  Difference found{.kind = candidate.kind, .pid = pid, .start = candidate.start};
  if (candidate.kind == Difference::Kind::kEnded) {
    if (known == nullptr || known->start != candidate.start) return;
    // It was not in the list, but it is alive after all.
    if (state && is_same(*known, state->start) && !state->ended) return;
    return report.on_difference(take_ended(pid, *known));
  }
  if (!state || state->start != candidate.start || state->ended) return;
  found.ppid = state->ppid;
  if (candidate.kind == Difference::Kind::kBegun) {
    if (known != nullptr) return;
    known = add(pid, state->start, true);
    if (known == nullptr) return;
    const Executed* of = executed_unknown_.find(pid);
    known->executed = of != nullptr && (of->start == 0 || of->start + 1 >= state->start);
    executed_unknown_.erase(pid);
    if (state->start > since_ticks_) report.on_difference(found);
  } else if (known == nullptr || !is_same(*known, state->start)) {
    return;
  }
  if (!execs_ || !candidate.executed || std::exchange(known->executed, true)) return;
  if (state->start <= since_ticks_ && candidate.kind == Difference::Kind::kBegun) return;
  found.kind = Difference::Kind::kExecuted;
  report.on_difference(found);
}

}  // namespace knell::process
