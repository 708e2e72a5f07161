// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The kernel's events have pids and a status; users want to know which program it was. When an exit
// is read, the /proc folder of the process is gone, so its details have to be stored while it
// lives:
//
//   fork   the child starts as a copy of its parent: same program, arguments, name, user, cgroup.
//          /proc is not read.
//   exec   the program is read from /proc at once, the arguments first. If the process is gone by
//          then, those fields become unknown, since the inherited ones are wrong.
//   comm, uid, gid   change the entry.
//
// Start times. An id has the start in clock ticks, exactly as in /proc. The stamp of a fork is some
// microseconds after the time that the kernel took as the start, so both are in the same tick
// unless a tick fell between them. For a stamp within kStartMarginNs after a tick the start is read
// from /proc; if that fails, the id has the stamp instead (x<stamp>).
#include "event/string_views.h"
#include "event/tty.h"
#include "process/process_table.h"

namespace knell::process {
namespace {

// A fork event is usually stamped microseconds after the kernel took the start time of the child.
// This is longer than that delay, unless the kernel is preempted there.
constexpr uint64_t kStartMarginNs = 2'000'000;
constexpr std::string_view kSystemdHierarchy = ":name=systemd:";

}  // namespace

// ------------------------------------------------------------------------------------------ births

void ProcessTable::begin_life(Task& child, const event::Raw& fork) {
  const Task* parent = described_at(fork.u.fork.parent_pid, fork.stamp_ns);
  if (has_details() && parent == nullptr && read(child, fork.stamp_ns)) {
    child.ppid = fork.u.fork.parent_pid;
    child.born_ns = fork.stamp_ns;
    return;
  }
  inherit(child, fork);
}

void ProcessTable::inherit(Task& child, const event::Raw& fork) {
  child.ppid = fork.u.fork.parent_pid;
  child.born_ns = fork.stamp_ns;
  // After a hole, another process may have had the parent's pid when this event was queued.
  const bool followed = keeps_owners() && fork.stamp_ns >= followed_from_ns_;
  const Task* owner = followed ? owner_at(child.ppid, fork.stamp_ns, Need::kUid) : nullptr;
  if (!keeps_owners()) owner = at(child.ppid, fork.stamp_ns);
  if (owner != nullptr && !child.has_uid) {
    child.uid = owner->uid;
    child.has_uid = owner->has_uid;
  }
  const Task* parent = described_at(child.ppid, fork.stamp_ns);
  child.owner_current |= followed;
  if (has_details() && parent != nullptr) {
    child.parent_start = parent->start;
    child.parent_start_kind = parent->start_kind;
    child.parent_comm = child.comm = parent->comm;
    child.has_parent_comm = child.has_comm = parent->has_comm;
    child.gid = parent->gid;
    child.has_gid = parent->has_gid;
    child.tty = parent->tty;
    child.image = parent->image;
    child.cgroup = parent->cgroup;
  }
  if (!child.exact) set_start(child, fork.stamp_ns);
  if (kept_.namespaces && followed && !child.levels_known) read_numbers_at_birth(child);
}

void ProcessTable::set_start(Task& child, uint64_t fork_ns) {
  child.start = time_.ticks(fork_ns);
  child.start_kind = KNELL_ID_START;
  if (!has_details() || time_.boottime_ns(fork_ns) % Timebase::kTickNs >= kStartMarginNs) return;
  const ProcFolder folder = proc_.folder(child.pid);
  const auto stat = folder ? folder.stat() : std::nullopt;
  if (stat && stat->start <= child.start && stat->start + 1 >= child.start) {
    child.start = stat->start;
    child.exact = true;
    return;
  }
  child.start = fork_ns;
  child.start_kind = KNELL_ID_STAMP;
}

// ----------------------------------------------------------------------------------------- reading

// Reads a task that is not stored. False: it does not exist, or it began after `not_after_ns`.
bool ProcessTable::read(Task& task, uint64_t not_after_ns) {
  const ProcFolder folder = proc_.folder(task.pid);
  return folder && read(task, folder, not_after_ns);
}

bool ProcessTable::read(Task& task, const ProcFolder& folder, uint64_t not_after_ns) {
  if (has_details()) read_program(task, folder);
  const auto stat = folder.stat();
  if (!stat || stat->start > time_.ticks(not_after_ns)) return false;
  task.ppid = stat->ppid;
  task.start = stat->start;
  task.start_kind = KNELL_ID_START;
  task.exact = true;
  task.born_ns = time_.mono_of_ticks(stat->start);
  if (keeps_owners()) {
    const auto status = folder.task_status();
    if (!status) return false;
    task.uid = status->uid;
    task.has_uid = task.owner_current = true;
    task.thread = status->process != static_cast<uint32_t>(task.pid);
    if (kept_.namespaces) read_numbers(task, folder, *status);
  }
  if (!has_details()) return true;
  read_changing(task, folder, *stat);
  if (const Task* parent = find(task.ppid); parent != nullptr && !is_bare(*parent)) {
    task.parent_start = parent->start;
    task.parent_start_kind = parent->start_kind;
    task.parent_comm = parent->comm;
    task.has_parent_comm = parent->has_comm;
    return true;
  }
  const ProcFolder folder_of_parent = task.ppid > 0 ? proc_.folder(task.ppid) : ProcFolder();
  const auto parent = folder_of_parent ? folder_of_parent.stat() : std::nullopt;
  if (!parent || parent->start > stat->start) return true;  // another process has the pid by now
  task.parent_start = parent->start;
  task.parent_start_kind = KNELL_ID_START;
  task.parent_comm = parent->comm;
  task.has_parent_comm = true;
  return true;
}

// Reads the details that change while it runs, apart from the program.
void ProcessTable::read_changing(Task& task, const ProcFolder& folder, const ProcStat& stat) {
  task.tty = stat.tty;
  task.comm = stat.comm;
  task.has_comm = true;
  if (const auto ids = folder.ids()) {
    task.uid = ids->uid;
    task.gid = ids->gid;
    task.has_uid = task.has_gid = true;
  }
  read_group(task, folder);
}

bool ProcessTable::is_described(const Task& task) const {
  if (!has_details()) return true;
  return task.has_comm && (kept_.details != KNELL_DETAILS_FULL || task.image != nullptr);
}

// For an entry from a time when fewer details were kept. What it has from its birth stays.
void ProcessTable::describe_again(Task& task, const ProcFolder& folder) {
  read_program(task, folder);
  const auto stat = folder.stat();
  if (stat && still_has_it(task, stat->start)) return read_changing(task, folder, *stat);
  task.image.reset();
}

// Removes the details that are not kept up to date from now on.
void ProcessTable::drop_details() {
  std::vector<int32_t> pids;
  index_.for_each([&](int32_t pid, uint32_t slot) {
    Task& task = tasks_[slot];
    if (kept_.details != KNELL_DETAILS_FULL) task.image.reset();
    if (has_details()) return;
    task.cgroup.reset();
    task.has_comm = task.has_parent_comm = task.has_gid = false;
    if (!keeps_owners()) task.has_uid = false;
    pids.push_back(pid);
  });
  for (const int32_t pid : pids) drop_if_empty(*find(pid));
}

void ProcessTable::read_program(Task& task, const ProcFolder& folder) {
  task.image.reset();
  if (kept_.details != KNELL_DETAILS_FULL) return;
  Image image = folder.image();
  if (image.has_args || !image.exe.empty()) task.image = store(std::move(image));
}

void ProcessTable::read_group(Task& task, const ProcFolder& folder) {
  const std::string_view text = folder.cgroup_text(buffer_);
  const std::string_view path = cgroup_path(text);
  if (path.empty()) return;
  // In a hierarchy of version 1 the kernel shows "/" for every process that is exiting.
  if (path == "/" && text.find(kSystemdHierarchy) != std::string_view::npos) {
    const auto stat = folder.stat();
    if (!stat || stat->exiting) return;
  }
  task.cgroup = cgroups_.intern(path);
}

void ProcessTable::on_exec(const event::Raw& exec) {
  if (!has_details()) return;
  Task* task = find(exec.pid);
  if (task == nullptr || is_bare(*task)) {
    task = replace(exec.pid);
    if (task == nullptr) return;
    task->seen_in_event = true;
    task->read_ns = clock_.monotonic_ns();
    if (!read(*task, exec.stamp_ns)) erase(exec.pid);
    return;
  }
  if (task->born_ns > exec.stamp_ns) return;  // the entry is of a later process
  task->seen_in_event = true;
  task->read_ns = clock_.monotonic_ns();
  const ProcFolder folder = proc_.folder(exec.pid);
  task->image.reset();
  task->comm = Comm{};
  task->has_comm = false;
  if (!folder) return;
  read_program(*task, folder);
  const auto stat = folder.stat();
  const bool same =
      stat && still_has_it(*task, stat->start) && stat->start <= time_.ticks(exec.stamp_ns);
  if (!same) {
    task->image.reset();
    return;
  }
  task->tty = stat->tty;
  task->comm = stat->comm;
  task->has_comm = true;
  task->start = stat->start;
  task->start_kind = KNELL_ID_START;
  task->exact = true;
  read_group(*task, folder);
}

// -------------------------------------------------------------------------------------- describing

knell_id ProcessTable::id_of(int32_t pid, uint64_t stamp_ns) {
  if (pid <= 0) return {};
  const Task* task = at(pid, stamp_ns);
  if (task == nullptr || task->start_kind == KNELL_ID_NONE) return {boot_, pid, 0, KNELL_ID_NONE};
  return {boot_, pid, task->start, task->start_kind};
}

void ProcessTable::describe(Slot& slot, int32_t pid, ReadProc read_proc, uint64_t start) {
  knell_event& event = slot.event;
  event.id = stamp_id(pid, event.mono_ns);
  if (!has_details()) return;
  if (const Task* task = described_at(pid, event.mono_ns)) {
    if (start == 0 || still_has_it(*task, start)) fill(slot, *task);
    return;
  }
  if (read_proc == ReadProc::kNo) return;
  Task now;
  now.pid = pid;
  if (read(now, event.mono_ns) && (start == 0 || now.start == start)) {
    if (read_proc == ReadProc::kIdentity) {
      now.has_uid = now.has_gid = now.has_comm = false;
      now.tty = 0;
      now.image.reset();
      now.cgroup.reset();
    }
    fill(slot, now);
  }
  free_numbers(now);
}

void ProcessTable::fill(Slot& slot, const Task& task) {
  knell_event& event = slot.event;
  if (task.start_kind != KNELL_ID_NONE) event.id = {boot_, task.pid, task.start, task.start_kind};
  if (task.has_comm) {
    slot.comm = task.comm;
    event.comm = event::known_view_of(slot.comm);
  }
  fill_parent(slot, task);
  if (task.has_uid && (task.owner_current || !keeps_owners())) {
    event.has |= KNELL_HAS_UID;
    event.uid = task.uid;
    const UserNames::Name& user = users_.find(task.uid);
    slot.user = user;
    if (user != nullptr) event.user = event::view_of(*user);
  }
  if (task.has_gid) {
    event.has |= KNELL_HAS_GID;
    event.gid = task.gid;
  }
  slot.tty = event::tty_name(task.tty);
  event.tty = event::view_of(slot.tty);
  slot.image = task.image;
  if (const Image* image = task.image.get()) {
    if (image->has_args) event.args = {image->args.data(), image->args.size()};
    if (image->args_truncated) event.flags |= KNELL_FLAG_ARGS_TRUNCATED;
    event.exe = event::view_of(image->exe);
    event.cwd = event::view_of(image->cwd);
  }
  slot.cgroup = task.cgroup;
  fill_cgroup(event, task.cgroup.get());
  if (event.type == KNELL_EVENT_EXIT && task.born_ns > 1 && task.born_ns <= event.mono_ns) {
    event.has |= KNELL_HAS_DURATION;
    event.duration_ns = event.mono_ns - task.born_ns;
  }
}

// Uses the parent at birth if it is known. The process that adopted an orphan says nothing about
// the orphan's origin.
void ProcessTable::fill_parent(Slot& slot, const Task& task) {
  knell_event& event = slot.event;
  if (task.ppid <= 0) return;
  event.ppid = task.ppid;
  event.parent_id = {boot_, task.ppid, task.parent_start, task.parent_start_kind};
  slot.parent_comm = task.parent_comm;
  bool known = task.has_parent_comm;
  const Task* parent = find(task.ppid);
  if (parent != nullptr && !is_bare(*parent) && parent->born_ns <= task.born_ns) {
    slot.parent_comm = parent->comm;
    known = parent->has_comm;
    event.parent_id.start = parent->start;
    event.parent_id.kind = parent->start_kind;
  }
  if (known) event.parent_comm = event::known_view_of(slot.parent_comm);
}

}  // namespace knell::process
