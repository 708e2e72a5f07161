// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A table with one entry for each task, found by its pid or tid. It handles three problems in one
// place, for all data of an entry:
//
// Pids are reused. An entry is used for an event only if the task was born before the event. A fork
// event begins a new entry, except where the entry was made while the fork event was still queued
// (read in /proc, or reported by another source): then its start is not before the fork.
//
// Holes. After lost events everything may have changed. Details and descent are read again in /proc
// by the next scan; threads are not counted until then. The owners of processes are unknown from
// then on: an owner is read again before it is used (owner_current).
//
// Sweeping. Most entries are erased when their process ends. Where exits are filtered out nothing
// reports the end, so after each drain some entries are checked, and those are erased whose task
// has been gone for longer than GoneTimer::kGoneNs.
#include "process/process_table.h"

#include <algorithm>

namespace knell::process {
namespace {

// Files of a process: stat, status, cgroup, cmdline, exe, cwd
constexpr size_t kFilesRead = 6;
// Chosen, not measured: beyond it, the sweep erases the entries
constexpr size_t kMostEnded = 65'536;

}  // namespace

ProcessTable::ProcessTable(const ProcReader& proc, const Clock& clock, const Timebase& time,
                           uint32_t boot, const TableLimits& limits, PidNamespaces::From from)
    : proc_(proc), clock_(clock), time_(time), boot_(boot), limits_(limits), namespaces_(from) {}

// ----------------------------------------------------------------------------------------- storage

Task* ProcessTable::find(int32_t pid) {
  const uint32_t* slot = index_.find(pid);
  return slot == nullptr ? nullptr : &tasks_[*slot];
}

const Task* ProcessTable::at(int32_t pid, uint64_t stamp_ns) const {
  const Task* task = find(pid);
  return task != nullptr && task->born_ns <= stamp_ns ? task : nullptr;
}

const Task* ProcessTable::described_at(int32_t pid, uint64_t stamp_ns) const {
  const Task* task = at(pid, stamp_ns);
  return task != nullptr && !is_bare(*task) ? task : nullptr;
}

// Adds an empty entry, which replaces any older one of the pid; nullptr: the table is full.
Task* ProcessTable::insert(int32_t pid) {
  if (Task* old = find(pid)) {
    clear(*old);
    return old;
  }
  if (index_.size() >= limits_.tasks) {
    ++forgotten_;
    return nullptr;
  }
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(tasks_.size()));
    tasks_.emplace_back();
  }
  const uint32_t slot = free_.back();
  free_.pop_back();
  *index_.emplace(pid).first = slot;
  tasks_[slot].pid = pid;
  return &tasks_[slot];
}

// Replaces the entry of the pid. If the old entry has only roots and a number of threads, it may be
// of the same task, and the new entry keeps them.
Task* ProcessTable::replace(int32_t pid) {
  const Task* old = find(pid);
  const bool bare = old != nullptr && is_bare(*old);
  const uint64_t roots = bare ? old->roots : 0;
  const uint32_t other_threads = bare ? old->other_threads : 0;
  Task* task = insert(pid);
  if (task == nullptr) return nullptr;
  task->roots = roots;
  task->other_threads = other_threads;
  return task;
}

// Removes the data of the entry, but not from the live set.
void ProcessTable::clear(Task& task) {
  free_numbers(task);
  const int32_t pid = task.pid;
  const Life life = task.life;
  task = Task();
  task.pid = pid;
  task.life = life;
}

void ProcessTable::erase(int32_t pid) {
  const uint32_t* found = index_.find(pid);
  if (found == nullptr) return;
  const uint32_t slot = *found;
  if (tasks_[slot].life.alive) return clear(tasks_[slot]);
  index_.erase(pid);
  release(slot);
}

void ProcessTable::release(uint32_t slot) {
  free_numbers(tasks_[slot]);
  tasks_[slot] = Task();
  free_.push_back(slot);
}

// Erases an entry without data, if the table does not store all tasks.
void ProcessTable::drop_if_empty(const Task& task) {
  if (!keeps_all() && task.roots == 0 && task.other_threads == 0) erase(task.pid);
}

// ---------------------------------------------------------------------------------------- live set

Life* ProcessTable::find_live(int32_t pid) {
  Task* task = find(pid);
  return task != nullptr && task->life.alive ? &task->life : nullptr;
}

Life* ProcessTable::add_live(int32_t pid) {
  Task* task = find(pid);
  if (task == nullptr) task = insert(pid);
  if (task == nullptr) return nullptr;
  if (!task->life.alive) ++live_;
  task->life = {.alive = true};
  return &task->life;
}

// An entry without other data is erased.
void ProcessTable::remove_live(int32_t pid) {
  Task* task = find(pid);
  if (task == nullptr || !task->life.alive) return;
  --live_;
  task->life = {};
  if (is_bare(*task) && task->roots == 0 && task->other_threads == 0) erase(pid);
}

void ProcessTable::move_live_from(ProcessTable& other) {
  std::vector<int32_t> pids;
  other.for_each_live([&](int32_t pid, const Life& life) {
    if (Life* mine = add_live(pid)) *mine = life;
    pids.push_back(pid);
  });
  for (const int32_t pid : pids) other.remove_live(pid);
}

std::shared_ptr<const Image> ProcessTable::store(Image image) {
  const size_t bytes = image.bytes();
  if (*text_bytes_ + bytes > limits_.text_bytes) {
    ++forgotten_;
    return nullptr;
  }
  *text_bytes_ += bytes;
  return {new Image(std::move(image)), [total = text_bytes_, bytes](const Image* gone) {
            *total -= bytes;
            delete gone;
          }};
}

size_t ProcessTable::bytes() const {
  return tasks_.size() * sizeof(Task) + index_.bytes() + numbers_.size() * sizeof(List) +
         *text_bytes_;
}

// ---------------------------------------------------------------------------------------- identity

uint64_t ProcessTable::ticks_of(const Task& task) const {
  return task.start_kind == KNELL_ID_STAMP ? time_.ticks(task.start) : task.start;
}

// Whether the stored task still has the pid; `start_now` is the start of the task that has it now.
bool ProcessTable::still_has_it(const Task& task, uint64_t start_now) const {
  return task.exact ? task.start == start_now : start_now <= ticks_of(task) + 1;
}

bool ProcessTable::has(int32_t pid, uint64_t start) const {
  const Task* task = find(pid);
  if (task == nullptr || is_bare(*task)) return false;
  const uint64_t ticks = ticks_of(*task);
  return start <= ticks + 1 && ticks <= start + 1;
}

// Whether the entry was made while this fork event was still queued: then it is of the same task,
// or of a later one with the same pid.
bool ProcessTable::is_of_birth(const Task& known, const event::Raw& fork) const {
  return !known.seen_in_event && known.exact && known.start + 1 >= time_.ticks(fork.stamp_ns);
}

// ------------------------------------------------------------------------------------------- scans

bool ProcessTable::keep(const Kept& kept) {
  const Kept before = std::exchange(kept_, kept);
  if (kept == before) return false;
  if (!kept.namespaces && before.namespaces) {
    index_.for_each([&](int32_t, uint32_t slot) {
      free_numbers(tasks_[slot]);
      tasks_[slot].levels_known = tasks_[slot].levels_tried = false;
    });
    namespaces_.forget();
  }
  if (kept.details != before.details) drop_details();
  if (!kept.threads) counting_ = false;
  // In enum knell_details a lower value means more details.
  const bool more = kept.details < before.details || (kept.threads && !before.threads) ||
                    (kept.owners && !before.owners) || (kept.namespaces && !before.namespaces);
  if ((kept.owners && !before.owners) || (kept.namespaces && !before.namespaces)) distrust();
  return more;
}

void ProcessTable::begin_scan() {
  scan_began_ns_ = clock_.monotonic_ns();
  if (kept_.threads && !counting_) {
    counting_ = true;
    count_scanned_ = false;
    index_.for_each([&](int32_t, uint32_t slot) { tasks_[slot].other_threads = 0; });
  }
  namespaces_.forget();
  scan_.cancel();
  if (keeps_all() || kept_.threads) scan_.begin(proc_.list());
}

void ProcessTable::read_again() {
  begin_scan();
  after_loss_ = true;
  searching_ = found_ = !roots_.empty();
  root_pass_.cancel();
}

bool ProcessTable::scan_some(ScanBudget& budget, const Awaited& awaited) {
  const bool was_running = scan_.running();
  if (scan_.advance(budget, has_details() ? kFilesRead : 2, [&](int32_t pid) { scan_one(pid); })) {
    if (std::exchange(after_loss_, false)) erase_unseen(awaited);
    count_scanned_ = true;
  }
  if (was_running && scan_.failed()) counting_ = false;
  return !scan_.running();
}

void ProcessTable::read_one(int32_t pid) {
  if (keeps_all()) scan_one(pid);
}

void ProcessTable::scan_one(int32_t pid) {
  const uint64_t now = clock_.monotonic_ns();
  const ProcFolder folder = proc_.folder(pid);
  const auto stat = folder ? folder.stat() : std::nullopt;
  if (!stat) return;
  Task* task = find(pid);
  const bool known = task != nullptr && !is_bare(*task) && still_has_it(*task, stat->start);
  const bool has_threads = counting_ && !count_scanned_ && stat->threads > 1;
  if (!keeps_all()) {
    // An entry has its roots and its number of threads only.
    if (task == nullptr && has_threads) task = insert(pid);
    if (task == nullptr) return;
  } else if (!known) {
    task = replace(pid);
    if (task == nullptr) return;
    if (!read(*task, folder, now)) return erase(pid);
  } else {
    // If the name has changed, an exec event was lost.
    if (!is_described(*task) || (has_details() && task->comm != stat->comm))
      describe_again(*task, folder);
    if (keeps_owners()) (void)owner_at(pid, now, Need::kUid);
    if (kept_.namespaces) (void)owner_at(pid, now, Need::kNumbers);
  }
  if (has_threads) task->other_threads = kUncounted;
  task->read_ns = now;
}

// Processes that the scan did not visit have ended without an event.
void ProcessTable::erase_unseen(const Awaited& awaited) {
  std::vector<int32_t> ended;
  for_each([&](const Task& task) {
    const bool seen = task.read_ns >= scan_began_ns_ || task.born_ns >= scan_began_ns_;
    if (!seen && !task.life.alive && !(awaited && awaited(task.pid))) ended.push_back(task.pid);
  });
  for (const int32_t pid : ended) erase(pid);
}

// ------------------------------------------------------------------------------------------ events

void ProcessTable::on_fork(const event::Raw& fork) {
  if (fork.tid != fork.pid) return on_thread_fork(fork);
  ++born_;
  const uint64_t roots =
      roots_.empty() ? 0
                     : roots_of(fork.u.fork.parent_pid) | roots_.own_bit(fork.pid, fork.stamp_ns);
  Task* task = find(fork.pid);
  if (task != nullptr && is_of_birth(*task, fork)) {
    // otherwise the entry is of a later process
    if (task->start <= time_.ticks(fork.stamp_ns) + 1) {
      task->seen_in_event = true;
      task->roots |= roots;
      task->other_threads = 0;  // its threads will come as events
    }
    // Reported by another source, which has no details.
    if (has_details() && task->read_ns == 0 && task->ppid == 0) inherit(*task, fork);
    return;
  }
  if (!keeps_all() && roots == 0) return erase(fork.pid);  // the pid is in use again
  task = insert(fork.pid);
  if (task == nullptr) return;
  task->roots = roots;
  task->seen_in_event = true;
  begin_life(*task, fork);
}

void ProcessTable::on_thread_fork(const event::Raw& fork) {
  if (counting_) {
    Task* process = find(fork.pid);
    if (process == nullptr) process = insert(fork.pid);
    if (process == nullptr)
      counting_ = false;  // the table is full: from now on thread counts would be wrong
    else if (process->other_threads != kUncounted)
      ++process->other_threads;
  }
  if (!kept_.namespaces) return;
  Task* task = find(fork.tid);
  if (task != nullptr && is_of_birth(*task, fork)) return;
  task = insert(fork.tid);
  if (task == nullptr) return;
  ++born_;
  task->thread = task->seen_in_event = true;
  task->start = time_.ticks(fork.stamp_ns);
  task->start_kind = KNELL_ID_START;
  task->born_ns = fork.stamp_ns;
  if (fork.stamp_ns < followed_from_ns_) return;
  task->owner_current = true;
  read_numbers_at_birth(*task);
}

void ProcessTable::on_change(const event::Raw& change) {
  if (change.tid != change.pid && change.what != KNELL_EVENT_SID) return;
  Task* task = find(change.pid);
  if (task == nullptr) return;
  // The entry is of a later process, which has the pid now.
  if (!is_bare(*task) && ticks_of(*task) > time_.ticks(change.stamp_ns) + 1) return;
  switch (change.what) {
    case KNELL_EVENT_UID:
      task->uid = change.u.id.real;
      task->has_uid = true;
      break;
    case KNELL_EVENT_GID:
      task->gid = change.u.id.real;
      task->has_gid = true;
      break;
    case KNELL_EVENT_SID:
      task->tty = 0;
      break;
    case KNELL_EVENT_COMM:
      if (task->born_ns > change.stamp_ns) break;
      std::copy_n(change.u.comm.name, task->comm.size() - 1, task->comm.begin());
      task->has_comm = has_details();
      break;
    default:
      break;
  }
}

void ProcessTable::on_thread_exit(const event::Raw& exit) {
  if (kept_.namespaces)
    if (const Task* thread = at(exit.tid, exit.stamp_ns)) note_end(*thread, exit.stamp_ns);
  Task* task = find(exit.pid);
  if (task == nullptr || task->other_threads == 0 || task->other_threads == kUncounted) return;
  --task->other_threads;
  drop_if_empty(*task);
}

void ProcessTable::on_single_thread(int32_t pid) {
  Task* task = find(pid);
  if (task == nullptr) return;
  task->other_threads = 0;
  drop_if_empty(*task);
}

// An entry of a later process with the same pid stays.
void ProcessTable::on_exit(int32_t pid, uint64_t stamp_ns) {
  const Task* task = at(pid, stamp_ns);
  if (task == nullptr) return;
  if (keeps_owners())
    note_end(*task, stamp_ns);
  else
    erase(pid);
}

// The entry is still needed: other events of the task may come.
void ProcessTable::note_end(const Task& task, uint64_t stamp_ns) {
  if (ended_.size() >= kMostEnded) ended_.pop_front();
  ended_.push_back({stamp_ns, ticks_of(task), task.pid});
}

void ProcessTable::on_lost(uint32_t types) {
  counting_ = false;
  constexpr uint32_t kFollowed = KNELL_EVENT_FORK | KNELL_EVENT_UID;
  if (types == 0 || (types & kFollowed) != 0) distrust();
}

uint32_t ProcessTable::other_threads(int32_t pid) const {
  if (!counting_ || !count_scanned_) return kUnknown;
  const Task* task = find(pid);
  return task == nullptr ? 0 : task->other_threads;
}

}  // namespace knell::process
