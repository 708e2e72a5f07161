// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The owner of a task decides who may see its events: its uid, and its pids in pid namespaces. An
// answer is either right, as far as can be known (docs/limits.md), or "unknown".
//
// The uid is inherited at birth and changes when the leader's uid changes. Pids in namespaces
// cannot be inherited: CLONE_NEWPID can put a child of any parent into a new namespace, and a fork
// event of the connector does not have them. So /proc is read at once, while the child lives,
// except where another source reports the birth with these pids. A task that began after the event
// is not its subject; a process that is dead when it is queried, and was not stored, stays unknown.
#include <algorithm>
#include <utility>

#include "process/process_table.h"

namespace knell::process {

void ProcessTable::distrust() {
  std::vector<int32_t> threads;
  index_.for_each([&](int32_t pid, uint32_t slot) {
    tasks_[slot].owner_current = false;
    if (tasks_[slot].thread) threads.push_back(pid);
  });
  for (const int32_t tid : threads) erase(tid);
  ended_.clear();
  followed_from_ns_ = clock_.monotonic_ns();
}

void ProcessTable::on_birth(const Birth& birth) {
  const bool thread = birth.tid != birth.pid;
  if (thread && !kept_.namespaces) return;
  Task* task = find(birth.tid);
  // The fork event may come before the birth, and a change of the uid between the two.
  const bool known = task != nullptr && !is_bare(*task) && ticks_of(*task) <= birth.start + 1 &&
                     birth.start <= ticks_of(*task) + 1;
  if (!known) {
    task = insert(birth.tid);
    if (task == nullptr) return;
    ++born_;
  }
  task->thread = thread;
  task->start = birth.start;
  task->start_kind = KNELL_ID_START;
  if (task->born_ns == 0) task->born_ns = birth.stamp_ns;
  if (!task->has_uid || !task->owner_current) {
    task->uid = birth.uid;
    task->has_uid = true;
  }
  task->exact = task->owner_current = true;
  task->levels_known = kept_.namespaces && birth.levels_known;
  if (!task->levels_known) return;
  std::array<event::NamespacePid, event::kMostLevels> numbers;
  size_t count = 0;
  for (const event::NamespacePids& level : birth.levels)
    numbers[count++] = {level.ns, thread ? level.child_tid : level.child_pid};
  set_numbers(*task, std::span(numbers).first(count));
}

// ----------------------------------------------------------------------------------------- queries

std::optional<uint32_t> ProcessTable::uid_of(int32_t pid, uint64_t stamp_ns) {
  const Task* task = owner_at(pid, stamp_ns, Need::kUid);
  if (task == nullptr || !task->has_uid) return std::nullopt;
  return task->uid;
}

ProcessTable::Numbers ProcessTable::numbers_of(int32_t tid, uint64_t stamp_ns) {
  if (!kept_.namespaces) return {};
  const Task* task = owner_at(tid, stamp_ns, Need::kNumbers);
  if (task == nullptr || !task->levels_known) return {};
  if (task->numbers == UINT32_MAX) return {.of = {}, .known = true};
  const List& list = numbers_[task->numbers];
  return {.of = std::span(list.at).first(list.count), .known = true};
}

void ProcessTable::settle_initial_namespace(int32_t tid, uint64_t stamp_ns) {
  Task* task = kept_.namespaces ? find(tid) : nullptr;
  // exact: the entry comes from on_birth() or /proc.
  if (task == nullptr || task->levels_known || task->exact || !task->owner_current) return;
  if (ticks_of(*task) <= time_.ticks(stamp_ns) + 1) task->levels_known = true;
}

// Returns the task, with what is needed of its owner as far as that can be read. nullptr: an event
// with this timestamp may be of another task.
const Task* ProcessTable::owner_at(int32_t tid, uint64_t stamp_ns, Need need) {
  if (tid <= 0) return nullptr;
  const uint64_t latest = time_.ticks(stamp_ns) + 1;
  Task* task = find(tid);
  if (task != nullptr && ticks_of(*task) > latest) return nullptr;
  const auto has_it = [&] {
    return need == Need::kUid ? task->has_uid : task->levels_known || task->levels_tried;
  };
  if (task != nullptr && task->owner_current && has_it()) return task;

  free_numbers(passing_);
  passing_ = Task();
  passing_.pid = tid;
  const bool there = read_owner(passing_) && passing_.start <= latest;
  const bool same = there && task != nullptr && still_has_it(*task, passing_.start);
  // The task is gone, or another task has its pid now. The stored values are right, but nothing can
  // be added to them.
  if (task != nullptr && !same && task->owner_current) return task;
  if (!there) return nullptr;
  if (!same) {
    // The task is not stored, or another task got its pid since events were lost.
    const bool bare = task != nullptr && is_bare(*task);
    task = bare ? task : insert(tid);
    if (task == nullptr) return &passing_;
    const uint64_t roots = task->roots;
    const uint32_t other_threads = task->other_threads;
    const Life life = task->life;
    if (has_details() && !passing_.thread && read(*task, stamp_ns)) return task;
    *task = passing_;
    task->roots = roots;
    task->other_threads = other_threads;
    task->life = life;
    passing_.numbers = UINT32_MAX;
    return task;
  }
  if (!task->owner_current || !task->has_uid) {
    task->uid = passing_.uid;
    task->has_uid = true;
  }
  free_numbers(*task);
  task->numbers = std::exchange(passing_.numbers, UINT32_MAX);
  task->levels_known = passing_.levels_known;
  task->levels_tried = passing_.levels_tried;
  task->start = passing_.start;
  task->start_kind = KNELL_ID_START;
  task->exact = task->owner_current = true;
  return task;
}

// ----------------------------------------------------------------------------------------- reading

// Reads the owner of the task that has this pid now; false: there is none.
bool ProcessTable::read_owner(Task& task) {
  const ProcFolder folder = proc_.folder(task.pid);
  const auto stat = folder ? folder.stat() : std::nullopt;
  const auto status = stat ? folder.task_status() : std::nullopt;
  if (!status) return false;
  task.start = stat->start;
  task.start_kind = KNELL_ID_START;
  task.born_ns = time_.mono_of_ticks(stat->start);
  task.ppid = stat->ppid;
  task.exact = task.owner_current = true;
  task.uid = status->uid;
  task.has_uid = true;
  task.thread = status->process != static_cast<uint32_t>(task.pid);
  if (kept_.namespaces) read_numbers(task, folder, *status);
  return true;
}

void ProcessTable::read_numbers(Task& task, const ProcFolder& folder, const TaskStatus& status) {
  task.levels_tried = true;
  if (status.count == 0) return;
  if (status.count == 1) {  // only our namespace: by far the most common case
    task.levels_known = true;
    return;
  }
  const auto* around = namespaces_.around(folder.pid_namespace());
  if (around == nullptr || around->size() != status.count) return;
  std::array<event::NamespacePid, event::kMostLevels> numbers;
  const size_t count = status.count - 1;
  for (size_t i = 0; i < count; ++i)
    numbers[i] = {(*around)[around->size() - 2 - i], status.numbers[i + 1]};
  set_numbers(task, std::span(numbers).first(count));
  task.levels_known = true;
}

// Most tasks are in no namespace below ours; reading one link shows that. If another task has the
// pid already, this task's events are withheld in its namespace, but never sent to another one.
void ProcessTable::read_numbers_at_birth(Task& task) {
  task.levels_tried = true;
  task.levels_known = proc_.is_in_own_pid_namespace(task.pid);
  if (task.levels_known) return;
  Task now;
  now.pid = task.pid;
  if (read_owner(now) && still_has_it(task, now.start)) {
    task.numbers = std::exchange(now.numbers, UINT32_MAX);
    task.levels_known = now.levels_known;
    task.uid = now.uid;
    task.has_uid = true;
    task.start = now.start;
    task.start_kind = KNELL_ID_START;
    task.exact = true;
  }
  free_numbers(now);
}

void ProcessTable::set_numbers(Task& task, std::span<const event::NamespacePid> numbers) {
  free_numbers(task);
  if (numbers.empty()) return;
  if (free_numbers_.empty()) {
    free_numbers_.push_back(static_cast<uint32_t>(numbers_.size()));
    numbers_.emplace_back();
  }
  task.numbers = free_numbers_.back();
  free_numbers_.pop_back();
  List& list = numbers_[task.numbers];
  std::ranges::copy(numbers, list.at.begin());
  list.count = static_cast<uint32_t>(numbers.size());
}

void ProcessTable::free_numbers(Task& task) {
  if (task.numbers != UINT32_MAX) free_numbers_.push_back(std::exchange(task.numbers, UINT32_MAX));
}

}  // namespace knell::process
