// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/task_ids.h"

#include <algorithm>
#include <utility>

// Pids are reused. An entry may be used for an event only if the event is of that very process.
// There are four ways to be sure of that:
//
// - Births overwrite. While all births are received, the entry made at the last birth of a pid is
//   valid for every event after it, until the next birth.
// - Ends. While the end of every process is received, an entry is valid until then: its pid cannot
//   be another process's before. (Not for threads: bpf does not report their ends.)
// - The start. Where some births are not received or were lost, /proc is read at each query for the
//   process that has the pid now: if its start is the stored one, it is the same process. Starts
//   count hundredths of a second, and a pid is not reused that fast. If only the stamp of the fork
//   event is stored, the start may be earlier, by as long as the kernel was preempted between both:
//   a process that has the pid and began no later is the same.
// - The order of time. A process that began after the event is not its subject: the answer is
//   "unknown". For an exit that is decided later, the query has the stamp of the exit.
//
// A process that is dead when it is queried, and was not stored, stays unknown.
//
// The uid is inherited at birth and changes when the leader's uid changes. Levels cannot be
// inherited: CLONE_NEWPID can put a child of any parent into a new namespace, and a birth from a
// thread-level source does not have them. So /proc is read at once, while the child lives; for a
// task in a namespace that read gives the uid, too.
namespace knell::process {
namespace {

constexpr uint32_t kBirths = KNELL_EVENT_FORK;
constexpr uint32_t kEnds = KNELL_EVENT_EXIT;
constexpr uint32_t kUids = KNELL_EVENT_UID;

}  // namespace

bool TaskIds::want_levels(bool wanted) {
  if (wanted == levels_wanted_) return false;
  levels_wanted_ = wanted;
  // Threads are stored for their levels only: their entries are swept as they end.
  tasks_.for_each([&](int32_t, Task& task) {
    free_numbers(task);
    task.levels_known = task.levels_tried = false;
  });
  if (!wanted) namespaces_.forget();
  return true;
}

void TaskIds::set_reported_types(uint32_t mask) {
  const bool more = (mask & ~reported_types_ & (kBirths | kEnds | kUids)) != 0;
  reported_types_ = mask;
  if (more) distrust();
}

void TaskIds::distrust() {
  forget_all(clock_.monotonic_ns());
  hole_ = true;
}

void TaskIds::forget_all(uint64_t now_ns) {
  time_.take(clock_);
  tasks_.clear();
  numbers_.clear();
  free_.clear();
  ended_.clear();
  from_ns_ = now_ns;
  born_ = 0;
}

void TaskIds::read_all(uint64_t now_ns) {
  begin_scan(now_ns);
  ScanBudget all;
  (void)scan_some(all);
}

void TaskIds::begin_scan(uint64_t now_ns) {
  forget_all(now_ns);
  namespaces_.forget();
  looked_ns_ = now_ns;
  hole_ = false;
  scan_.begin(proc_.list());
}

bool TaskIds::scan_some(ScanBudget& budget) {
  constexpr size_t kFilesRead = 2;  // stat and status
  (void)scan_.advance(budget, kFilesRead, [&](int32_t pid) {
    Task task;
    if (tasks_.find(pid) == nullptr && read(pid, task) && keep(pid, task) == nullptr)
      free_numbers(task);
  });
  return !scan_.running();
}

// --------------------------------------------------------------------------------------------
// events

void TaskIds::on_raw(const event::Raw& raw) {
  seen_ns_ = raw.stamp_ns;
  switch (raw.what) {
    case KNELL_EVENT_FORK:
      return on_fork(raw);
    case KNELL_EVENT_UID:
      if (raw.tid == raw.pid) changed_uid(raw.pid, raw.u.id.real);
      return;
    case KNELL_EVENT_EXIT:
      return note_end(raw.tid, raw.stamp_ns);
    case KNELL_EVENT_LOST:
      if (raw.u.lost.types == 0 || (raw.u.lost.types & relied_on()) != 0) distrust();
      return;
    default:
      return;
  }
}

void TaskIds::changed_uid(int32_t pid, uint32_t uid) {
  Task* task = tasks_.find(pid);
  if (task == nullptr) return;
  task->uid = uid;
  task->uid_known = true;
}

void TaskIds::on_fork(const event::Raw& raw) {
  const bool thread = raw.tid != raw.pid;
  if (thread && !levels_wanted_) return;
  Task task{.start = time_.ticks(raw.stamp_ns), .thread = thread};
  // The entry may already come from on_birth() or from /proc.
  const Task* known = tasks_.find(raw.tid);
  if (known != nullptr && known->exact && is_same(task, *known)) return;
  if (known != nullptr && known->exact && known->start > task.start)
    unsettled_until_ = std::max(unsettled_until_, known->start + 1);
  forget(raw.tid);
  if (raw.stamp_ns < from_ns_) return;
  ++born_;
  if (!thread) inherit_uid(raw, task);
  if (levels_wanted_) read_levels_at_birth(raw.tid, task);
  if (keep(raw.tid, task) == nullptr) free_numbers(task);
}

// Most tasks are in no namespace below ours, which one link shows. If another task has the number
// already, this one is hidden from listeners in its namespace, but never shown to others.
void TaskIds::read_levels_at_birth(int32_t tid, Task& task) {
  task.levels_tried = true;
  task.levels_known = proc_.is_in_own_pid_namespace(tid);
  if (task.levels_known) return;
  Task now;
  if (read(tid, now) && still_has_it(task, now))
    task = now;
  else
    free_numbers(now);
}

void TaskIds::inherit_uid(const event::Raw& fork, Task& task) {
  const Task* from = trusted(fork.u.fork.parent_pid, fork.stamp_ns, Need::kUid);
  task.uid_known = from != nullptr && from->uid_known;
  if (task.uid_known) task.uid = from->uid;
}

void TaskIds::on_birth(const Birth& birth) {
  const bool thread = birth.tid != birth.pid;
  if (thread && !levels_wanted_) return;
  forget(birth.tid);
  Task task{.start = birth.start, .uid = birth.uid};
  task.thread = thread;
  task.exact = task.uid_known = true;
  task.levels_known = levels_wanted_ && birth.levels_known;
  List list;
  for (const event::NamespacePids& level : birth.levels)
    list.at[list.count++] = {level.ns, thread ? level.child_tid : level.child_pid};
  if (task.levels_known) set_numbers(task, std::span(list.at).first(list.count));
  ++born_;
  if (keep(birth.tid, task) == nullptr) free_numbers(task);
}

// The entry is still needed: the exit is decided later, and other sources may report more events.
void TaskIds::note_end(int32_t tid, uint64_t stamp_ns) {
  Task* task = tasks_.find(tid);
  if (task == nullptr) return;
  task->ended = static_cast<uint32_t>(time_.ticks(stamp_ns));
  if (ended_.size() >= kMostEnded) ended_.pop_front();  // left to the sweep
  ended_.push_back({stamp_ns, task->start, tid});
}

// --------------------------------------------------------------------------------------------
// queries

std::optional<uint32_t> TaskIds::uid_of(int32_t pid, uint64_t stamp_ns) {
  if (stamp_ns == 0) stamp_ns = seen_ns_;
  const Task* task = trusted(pid, stamp_ns, Need::kUid);
  if (task == nullptr || !task->uid_known) return std::nullopt;
  return task->uid;
}

TaskIds::Numbers TaskIds::numbers_of(int32_t tid, uint64_t stamp_ns) {
  if (!levels_wanted_) return {};
  if (stamp_ns == 0) stamp_ns = seen_ns_;
  const Task* task = trusted(tid, stamp_ns, Need::kLevels);
  if (task == nullptr || !task->levels_known) return {};
  if (task->numbers == kNoNumbers) return {.of = {}, .known = true};
  const List& list = numbers_[task->numbers];
  return {.of = std::span(list.at).first(list.count), .known = true};
}

void TaskIds::settle_initial_namespace(int32_t tid, uint64_t stamp_ns) {
  Task* task = levels_wanted_ ? tasks_.find(tid) : nullptr;
  if (task == nullptr || task->levels_known || task->exact)
    return;  // exact: its levels come from /proc or on_birth()
  if (task->start <= unsettled_until_ || task->start > time_.ticks(stamp_ns) + 1) return;
  if (is_followed(*task, stamp_ns)) task->levels_known = true;
}

// The event types whose loss invalidates the entries.
uint32_t TaskIds::relied_on() const {
  return kUids | kBirths | ((reported_types_ & kBirths) == 0 ? kEnds : 0);
}

// Whether an event with this stamp and this pid is certainly of this task.
bool TaskIds::is_followed(const Task& task, uint64_t stamp_ns) const {
  if ((reported_types_ & kBirths) != 0) return true;
  if ((reported_types_ & kEnds) == 0 || task.thread) return false;
  return task.ended == 0 || time_.ticks(stamp_ns) <= task.ended;
}

// Whether the entry can be used without reading /proc.
bool TaskIds::is_good(const Task& task, uint64_t stamp_ns, Need need) const {
  if (!is_followed(task, stamp_ns)) return false;
  if (need == Need::kUid) return task.uid_known && (reported_types_ & kUids) != 0;
  return task.levels_known || task.levels_tried;
}

// Whether `known`, stored before the fork event was read, is the task of that birth.
bool TaskIds::is_same(const Task& birth, const Task& known) {
  return known.start + 1 >= birth.start && known.start <= birth.start + 1;
}

// Whether `now`, which has the number now, is the task of that birth.
bool TaskIds::still_has_it(const Task& task, const Task& now) {
  return task.exact ? task.start == now.start : now.start <= task.start + 1;
}

// The task, if it is certainly the one that the event is of; else nullptr.
const TaskIds::Task* TaskIds::trusted(int32_t tid, uint64_t stamp_ns, Need need) {
  if (tid <= 0) return nullptr;
  const uint64_t latest = stamp_ns == UINT64_MAX ? UINT64_MAX : time_.ticks(stamp_ns) + 1;
  Task* task = tasks_.find(tid);
  if (task != nullptr && task->start > latest) return nullptr;
  if (task != nullptr && is_good(*task, stamp_ns, need)) return task;

  free_numbers(passing_);
  passing_ = Task();
  const bool there = read(tid, passing_) && passing_.start <= latest;
  const bool same = there && task != nullptr && still_has_it(*task, passing_);
  // The task is gone, or its number is another's by now. The entry of a followed task is still the
  // right one, but nothing can be added to it.
  if (task != nullptr && !same && is_followed(*task, stamp_ns))
    return need == Need::kUid && (reported_types_ & kUids) == 0 ? nullptr : task;
  if (!there) return nullptr;
  // A stored uid that is updated by events is the one at the event; the uid just read may be newer.
  if (same && task->uid_known && (reported_types_ & kUids) != 0 && is_followed(*task, stamp_ns))
    passing_.uid = task->uid;
  if (same) passing_.ended = task->ended;
  forget(tid);
  const Task* kept = keep(tid, passing_);
  if (kept == nullptr) return &passing_;
  passing_.numbers = kNoNumbers;  // the list belongs to `kept` now
  return kept;
}

// --------------------------------------------------------------------------------------------
// reading /proc

// Reads the task that has the number now; false: there is none.
bool TaskIds::read(int32_t tid, Task& task) {
  const ProcFolder folder = proc_.folder(tid);
  const auto stat = folder ? folder.stat() : std::nullopt;
  const auto status = stat ? folder.task_status() : std::nullopt;
  if (!status) return false;
  task.start = stat->start;
  task.exact = true;
  task.uid = status->uid;
  task.uid_known = true;
  task.thread = status->process != static_cast<uint32_t>(tid);
  if (levels_wanted_) read_levels(folder, *status, task);
  return true;
}

void TaskIds::read_levels(const ProcFolder& folder, const TaskStatus& status, Task& task) {
  task.levels_tried = true;
  if (status.count == 0) return;
  if (status.count == 1) {  // only ours: by far the most common case
    task.levels_known = true;
    return;
  }
  const auto* around = namespaces_.around(folder.pid_namespace());
  if (around == nullptr || around->size() != status.count) return;
  List list;
  for (; list.count < status.count - 1; ++list.count)
    list.at[list.count] = {(*around)[around->size() - 2 - list.count],
                           status.numbers[list.count + 1]};
  set_numbers(task, std::span(list.at).first(list.count));
  task.levels_known = true;
}

// --------------------------------------------------------------------------------------------
// storage

// nullptr: no room; the caller must free the numbers of `task`.
TaskIds::Task* TaskIds::keep(int32_t tid, const Task& task) {
  if (tasks_.size() >= most_ && tasks_.find(tid) == nullptr) {
    ++forgotten_;
    return nullptr;
  }
  Task* kept = tasks_.emplace(tid).first;
  *kept = task;
  return kept;
}

void TaskIds::forget(int32_t tid) {
  Task* task = tasks_.find(tid);
  if (task == nullptr) return;
  free_numbers(*task);
  tasks_.erase(tid);
}

void TaskIds::set_numbers(Task& task, std::span<const event::NamespacePid> numbers) {
  free_numbers(task);
  if (numbers.empty()) return;
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(numbers_.size()));
    numbers_.emplace_back();
  }
  task.numbers = free_.back();
  free_.pop_back();
  List& list = numbers_[task.numbers];
  std::ranges::copy(numbers, list.at.begin());
  list.count = static_cast<uint32_t>(numbers.size());
}

void TaskIds::free_numbers(Task& task) {
  if (task.numbers != kNoNumbers) free_.push_back(std::exchange(task.numbers, kNoNumbers));
}

}  // namespace knell::process
