// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/process_history.h"

#include <sys/wait.h>

#include <algorithm>
#include <knell/knell.hpp>
#include <utility>

#include "cli/text.h"

namespace knell::cli {
namespace {

using End = PastProcess::End;

End end_of(const knell_event& exit) {
  if ((exit.has & KNELL_HAS_STATUS) == 0) return End::kUnknown;
  if (exit.wait_status == 0) return End::kSuccess;
  if (!WIFSIGNALED(exit.wait_status)) return End::kFailure;
  const bool oom = (exit.has & KNELL_HAS_KILLER) != 0 && exit.killed_by.cause == KNELL_CAUSE_OOM;
  return oom ? End::kOom : End::kSignal;
}

bool known(const knell_id& id) { return id.kind != KNELL_ID_NONE; }

// Whether two ids, either of which may be unknown, can be those of one process.
bool may_be_same(const knell_id& a, const knell_id& b) {
  return a.kind != b.kind || !known(a) || (a.boot == b.boot && a.start == b.start);
}

// killer_text() without the arrow in front.
std::string cause_text(const knell_event& exit) {
  constexpr std::string_view kArrow = "  <- ";
  std::string text = killer_text(exit);
  if (text.starts_with(kArrow)) text.erase(0, kArrow.size());
  return text;
}

}  // namespace

size_t ProcessHistory::IdHash::operator()(const knell_id& id) const {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // spreads the bits
  const uint64_t key = id.start ^ (static_cast<uint64_t>(static_cast<uint32_t>(id.pid)) << 32);
  return static_cast<size_t>((key ^ id.boot) * kOdd);
}

bool ProcessHistory::IdEqual::operator()(const knell_id& a, const knell_id& b) const {
  return a.boot == b.boot && a.pid == b.pid && a.start == b.start && a.kind == b.kind;
}

uint32_t ProcessHistory::find(pid_t pid, const knell_id& id) const {
  if (known(id)) {
    const auto found = by_id_.find(id);
    if (found != by_id_.end()) return found->second;
  }
  const auto last = by_pid_.find(pid);
  if (last == by_pid_.end()) return kNoProcess;
  const PastProcess& process = processes_[last->second];
  // Without ids, an event about a process that has ended is about a later one with its pid.
  const bool same = process.end == End::kRunning && may_be_same(process.id, id);
  return same ? last->second : kNoProcess;
}

uint32_t ProcessHistory::push(PastProcess process) {
  if (processes_.size() >= most_) {
    ++left_out_;
    return kNoProcess;
  }
  const auto index = static_cast<uint32_t>(processes_.size());
  if (known(process.id)) by_id_[process.id] = index;
  by_pid_[process.pid] = index;
  processes_.push_back(process);
  return index;
}

void ProcessHistory::set_names(const knell_event& event, PastProcess& process) {
  if (event.comm.data != nullptr) process.name = strings_.add(view(event.comm));
  if (event.args.data == nullptr || event.args.size == 0) return;
  process.args = strings_.add(view(event.args));
  process.args_truncated = (event.flags & KNELL_FLAG_ARGS_TRUNCATED) != 0;
}

// The process that the event is about; kNoProcess: there are too many.
uint32_t ProcessHistory::find_or_add(const knell_event& event) {
  const uint32_t found = find(event.pid, event.id);
  if (found != kNoProcess) {
    PastProcess& process = processes_[found];
    if (known(event.id) && !known(process.id)) {
      process.id = event.id;
      by_id_[event.id] = found;
    }
    return found;
  }
  PastProcess process;
  process.id = event.id;
  process.pid = event.pid;
  process.parent_id = event.parent_id;
  process.parent = event.ppid == 0 ? kNoProcess : find(event.ppid, event.parent_id);
  process.parent_name = strings_.add(view(event.parent_comm));
  process.start_ns = event.mono_ns;
  set_names(event, process);
  return push(process);
}

void ProcessHistory::add_fork(const knell_event& event) {
  if (event.child_tid != 0 && event.child_tid != event.child_pid) return;  // a thread
  const uint32_t parent = find_or_add(event);
  // The child may be known already, from its exec or its exit.
  const auto seen = known(event.child_id) ? by_id_.find(event.child_id) : by_id_.end();
  if (seen != by_id_.end()) {
    PastProcess& child = processes_[seen->second];
    if (child.start_known) return;
    child.start_ns = event.mono_ns;
    child.start_known = true;
    if (parent != seen->second) child.parent = parent;
    return;
  }
  PastProcess child;
  child.id = event.child_id;
  child.pid = event.child_pid;
  child.parent_id = event.id;
  child.parent = parent;
  child.start_ns = event.mono_ns;
  child.start_known = true;
  if (parent != kNoProcess) {
    const PastProcess& from = processes_[parent];
    child.name = from.name;
    child.args = from.args;
    child.args_truncated = from.args_truncated;
  }
  push(child);
}

void ProcessHistory::add_exit(const knell_event& event, PastProcess& process) {
  if (process.end != End::kRunning) return;
  process.end = end_of(event);
  process.end_ns = event.mono_ns;
  if (!process.start_known && (event.has & KNELL_HAS_DURATION) != 0) {
    process.start_ns = event.mono_ns - std::min(event.mono_ns, event.duration_ns);
    process.start_known = true;
  }
  process.ended = strings_.add(event_text(event));
  process.cause = strings_.add(cause_text(event));
  if (event.comm.data != nullptr) process.name = strings_.add(view(event.comm));
  if (!process.executed || process.args == 0) set_names(event, process);
}

// CLOCK_MONOTONIC begins again with each boot. Events of another boot than that of the first event
// are placed by CLOCK_REALTIME.
bool ProcessHistory::other_boot(const knell_event& event) {
  if (realtime_ || !known(event.id)) return in_other_boot_;
  if (!boot_) boot_ = event.id.boot;
  in_other_boot_ = event.id.boot != *boot_;
  return in_other_boot_;
}

void ProcessHistory::add(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) {
    losses_.add(event);
    return;
  }
  if (!other_boot(event)) return add_of_first_boot(event);
  // In uint64_t, since the values may be forged and overflow.
  const auto mono =
      static_cast<uint64_t>(event.time_ns) - static_cast<uint64_t>(real_minus_mono_ns_);
  knell_event moved = event;
  moved.mono_ns = static_cast<int64_t>(mono) < 0 ? 0 : mono;
  add_of_first_boot(moved);
}

void ProcessHistory::add_of_first_boot(const knell_event& event) {
  if (!begin_ns_) begin_ns_ = event.mono_ns;
  if (real_minus_mono_ns_ == 0 && event.time_ns != 0)
    real_minus_mono_ns_ = event.time_ns - static_cast<int64_t>(event.mono_ns);
  earliest_ns_ = std::min(earliest_ns_, event.mono_ns);
  end_ns_ = std::max(end_ns_, event.mono_ns);
  if (event.type == KNELL_EVENT_FORK) return add_fork(event);
  const uint32_t index = find_or_add(event);
  if (index == kNoProcess) return;
  PastProcess& process = processes_[index];
  switch (event.type) {
    case KNELL_EVENT_EXEC:
      process.executed = true;
      set_names(event, process);
      break;
    case KNELL_EVENT_COMM:
      process.name = strings_.add(view(event.new_comm));
      break;
    case KNELL_EVENT_EXIT:
      add_exit(event, process);
      break;
    default:
      break;
  }
}

void ProcessHistory::start(pid_t pid, uint64_t mono_ns) {
  if (!begin_ns_) begin_ns_ = mono_ns;
  PastProcess process;
  process.pid = pid;
  process.start_ns = mono_ns;
  process.start_known = true;
  push(process);
}

// A child may exit before the first event of its parent.
void ProcessHistory::link_late() {
  for (uint32_t i = 0; i < processes_.size(); ++i) {
    PastProcess& process = processes_[i];
    if (process.parent != kNoProcess || !known(process.parent_id)) continue;
    const auto parent = by_id_.find(process.parent_id);
    if (parent != by_id_.end() && parent->second != i) process.parent = parent->second;
  }
}

// Only a forged recording has processes that are their own ancestors.
void ProcessHistory::break_cycles() {
  std::vector<uint32_t> visit(processes_.size(), kNoProcess);  // the walk that visited a process
  for (uint32_t i = 0; i < processes_.size(); ++i) {
    for (uint32_t at = i; at != kNoProcess && visit[at] == kNoProcess; at = processes_[at].parent) {
      visit[at] = i;
      const uint32_t parent = processes_[at].parent;
      if (parent != kNoProcess && visit[parent] == i) processes_[at].parent = kNoProcess;
    }
  }
}

void ProcessHistory::finish(uint64_t mono_ns) {
  uint64_t first = UINT64_MAX;
  for (const PastProcess& process : processes_) first = std::min(first, process.start_ns);
  // The first event need not be the earliest: the clock may be set back, and a file may have events
  // of several hosts. No process ends before the earliest event.
  if (begin_ns_) begin_ns_ = std::min(*begin_ns_, earliest_ns_);
  if (!processes_.empty()) begin_ns_ = std::max(first, begin_ns());
  end_ns_ = std::max({end_ns_, mono_ns, begin_ns()});
  for (PastProcess& process : processes_) {
    if (process.end == End::kRunning) process.end_ns = end_ns_;
    process.end_ns = std::max(process.end_ns, process.start_ns);
  }
  link_late();
  break_cycles();
}

uint64_t ProcessHistory::shown_start_ns(const PastProcess& process) const {
  return std::min(std::max(process.start_ns, begin_ns()), process.end_ns);
}

int64_t ProcessHistory::begin_time_ns() const {
  if (realtime_) return static_cast<int64_t>(begin_ns());
  return real_minus_mono_ns_ == 0 ? 0 : real_minus_mono_ns_ + static_cast<int64_t>(begin_ns());
}

std::string ProcessHistory::command(const PastProcess& process) const {
  knell_event event{};
  event.size = sizeof event;
  const std::string_view name = text(process.name), args = text(process.args);
  if (process.name != 0) event.comm = {name.data(), name.size()};
  if (process.args != 0) event.args = {args.data(), args.size()};
  if (process.args_truncated) event.flags = KNELL_FLAG_ARGS_TRUNCATED;
  return command_text(event);
}

ChildIndex::ChildIndex(const ProcessHistory& history)
    : first_(history.processes().size() + 1), children_(history.processes().size()) {
  const auto processes = history.processes();
  std::vector<uint32_t> order(processes.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](uint32_t i) { return std::pair(processes[i].start_ns, i); });
  for (const PastProcess& process : processes)
    if (process.parent != kNoProcess) ++first_[process.parent + 1];
  for (size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  std::vector<uint32_t> next(first_);
  for (const uint32_t i : order) {
    if (processes[i].parent == kNoProcess)
      top_.push_back(i);
    else
      children_[next[processes[i].parent]++] = i;
  }
}

}  // namespace knell::cli
