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
//
// Pids are reused. An entry is used for an event only if the process was born before the event. An
// entry read from /proc after an event was queued may be of a later process; its start shows that.
#include "process/process_details.h"

#include <algorithm>
#include <cstring>

#include "event/tty.h"
#include "event/string_views.h"

namespace knell::process {
namespace {

// Far more than the kernel needs between the start time and the fork event, unless it is preempted
// there for this long.
constexpr uint64_t kStartMarginNs = 2'000'000;
constexpr std::string_view kSystemdHierarchy = ":name=systemd:";
constexpr size_t kFilesRead = 6;  // per process: stat, status, cgroup, cmdline, exe, cwd

}  // namespace

void ProcessDetails::read_all(uint64_t now_ns) {
  begin_scan(now_ns);
  ScanBudget all;
  (void)scan_some(all, now_ns);
}

void ProcessDetails::begin_scan(uint64_t now_ns) {
  if (!on()) return scan_.cancel();
  scan_began_ns_ = now_ns;
  scan_.begin(proc_.list());
}

bool ProcessDetails::scan_some(ScanBudget& budget, uint64_t now_ns, const Awaited& awaited) {
  const auto visit = [&](int32_t pid) { read_one(pid, now_ns); };
  if (scan_.advance(budget, kFilesRead, visit)) erase_unseen(awaited);
  return !scan_.running();
}

void ProcessDetails::read_one(int32_t pid, uint64_t now_ns) {
  if (!on()) return;
  Process* known = table_.find(pid);
  const ProcFolder folder = proc_.folder(pid);
  if (!folder) return;
  if (known != nullptr && known->start_kind == KNELL_ID_START) {
    const auto stat = folder.stat();
    if (stat && stat->start == known->start) {
      known->read_ns = now_ns;
      return;
    }
  }
  Process* process = table_.insert(pid);
  if (process == nullptr) return;
  process->read_ns = now_ns;
  if (!read(*process, now_ns)) table_.erase(pid);
}

// Processes that the scan did not visit have ended without an event.
void ProcessDetails::erase_unseen(const Awaited& awaited) {
  std::vector<int32_t> ended;
  table_.for_each([&](const Process& process) {
    const bool seen = process.read_ns >= scan_began_ns_ || process.born_ns >= scan_began_ns_;
    if (!seen && !(awaited && awaited(process.pid))) ended.push_back(process.pid);
  });
  for (const int32_t pid : ended) table_.erase(pid);
}

void ProcessDetails::on_fork(const event::Raw& fork) {
  if (!on()) return;
  const Process* known = table_.find(fork.pid);
  if (known != nullptr && !known->seen_in_event && known->read_ns > fork.stamp_ns &&
      known->start_kind == KNELL_ID_START) {
    // Read from /proc while this fork was still queued: the same process, or a later one.
    const uint64_t start = time_.ticks(fork.stamp_ns);
    if (known->start + 1 >= start) return;
  }
  const Process* parent = table_.find(fork.u.fork.parent_pid);
  const bool parent_known = parent != nullptr && parent->born_ns <= fork.stamp_ns;
  Process* child = table_.insert(fork.pid);
  if (child == nullptr) return;
  child->seen_in_event = true;
  if (!parent_known && read(*child, fork.stamp_ns)) {
    child->ppid = fork.u.fork.parent_pid;
    child->born_ns = fork.stamp_ns;
    return;
  }
  inherit(*child, fork);
}

void ProcessDetails::inherit(Process& child, const event::Raw& fork) {
  child.ppid = fork.u.fork.parent_pid;
  child.born_ns = fork.stamp_ns;
  if (const Process* parent = at(child.ppid, fork.stamp_ns)) {
    child.parent_start = parent->start;
    child.parent_start_kind = parent->start_kind;
    child.parent_comm = child.comm = parent->comm;
    child.has_parent_comm = child.has_comm = parent->has_comm;
    child.uid = parent->uid;
    child.gid = parent->gid;
    child.has_ids = parent->has_ids;
    child.tty = parent->tty;
    child.image = parent->image;
    child.cgroup = parent->cgroup;
  }
  set_start(child, fork.stamp_ns);
}

void ProcessDetails::set_start(Process& process, uint64_t fork_ns) {
  if (time_.boottime_ns(fork_ns) % Timebase::kTickNs >= kStartMarginNs) {
    process.start = time_.ticks(fork_ns);
    process.start_kind = KNELL_ID_START;
    return;
  }
  process.start = fork_ns;
  process.start_kind = KNELL_ID_STAMP;
  const ProcFolder folder = proc_.folder(process.pid);
  const auto stat = folder ? folder.stat() : std::nullopt;
  if (!stat || stat->start > time_.ticks(fork_ns) || stat->start + 1 < time_.ticks(fork_ns)) return;
  process.start = stat->start;
  process.start_kind = KNELL_ID_START;
}

// Reads an unknown process. False: it does not exist, or it began after `not_after_ns`.
bool ProcessDetails::read(Process& process, uint64_t not_after_ns) {
  const ProcFolder folder = proc_.folder(process.pid);
  if (!folder) return false;
  read_program(process, folder);
  const auto stat = folder.stat();
  if (!stat || stat->start > time_.ticks(not_after_ns)) return false;
  process.ppid = stat->ppid;
  process.tty = stat->tty;
  process.comm = stat->comm;
  process.has_comm = true;
  process.start = stat->start;
  process.start_kind = KNELL_ID_START;
  process.born_ns = time_.mono_of_ticks(stat->start);
  if (const auto ids = folder.ids()) {
    process.uid = ids->uid;
    process.gid = ids->gid;
    process.has_ids = true;
  }
  read_group(process, folder);
  if (const Process* parent = table_.find(process.ppid)) {
    process.parent_start = parent->start;
    process.parent_start_kind = parent->start_kind;
    process.parent_comm = parent->comm;
    process.has_parent_comm = parent->has_comm;
  }
  return true;
}

void ProcessDetails::read_program(Process& process, const ProcFolder& folder) {
  process.image.reset();
  if (details_ != KNELL_DETAILS_FULL) return;
  Image image = folder.image();
  if (image.has_args || !image.exe.empty()) process.image = table_.keep(std::move(image));
}

void ProcessDetails::read_group(Process& process, const ProcFolder& folder) {
  const std::string_view text = folder.cgroup_text(buffer_);
  const std::string_view path = cgroup_path(text);
  if (path.empty()) return;
  // In a hierarchy of version 1 the kernel shows "/" for every process that is exiting.
  if (path == "/" && text.find(kSystemdHierarchy) != std::string_view::npos) {
    const auto stat = folder.stat();
    if (!stat || stat->exiting) return;
  }
  process.cgroup = table_.cgroups().intern(path);
}

void ProcessDetails::on_exec(const event::Raw& exec) {
  if (!on()) return;
  Process* process = at(exec.pid, exec.stamp_ns);
  if (process == nullptr) {
    if (table_.find(exec.pid) != nullptr) return;  // the entry is of a later process
    process = table_.insert(exec.pid);
    if (process == nullptr) return;
    process->seen_in_event = true;
    if (!read(*process, exec.stamp_ns)) table_.erase(exec.pid);
    return;
  }
  process->seen_in_event = true;
  const ProcFolder folder = proc_.folder(exec.pid);
  process->image.reset();
  process->comm = Comm{};
  process->has_comm = false;
  if (!folder) return;
  read_program(*process, folder);
  const auto stat = folder.stat();
  const bool start_known = process->start_kind == KNELL_ID_START;
  // The start may be one tick earlier than stored: the kernel was preempted between taking the
  // start and sending the fork event.
  const bool same = stat && (start_known ? process->start - stat->start <= 1
                                         : stat->start <= time_.ticks(exec.stamp_ns));
  if (!same) {
    process->image.reset();
    return;
  }
  process->tty = stat->tty;
  process->comm = stat->comm;
  process->has_comm = true;
  process->start = stat->start;
  process->start_kind = KNELL_ID_START;
  read_group(*process, folder);
}

void ProcessDetails::note_read(int32_t pid, uint64_t now_ns) {
  if (Process* process = table_.find(pid)) process->read_ns = now_ns;
}

void ProcessDetails::on_comm(const event::Raw& comm) {
  Process* process = at(comm.pid, comm.stamp_ns);
  if (process == nullptr) return;
  std::copy_n(comm.u.comm.name, process->comm.size() - 1, process->comm.begin());
  process->has_comm = true;
}

void ProcessDetails::left_terminal(int32_t pid) {
  if (Process* process = table_.find(pid)) process->tty = 0;
}

void ProcessDetails::changed_uid(int32_t pid, uint32_t uid) {
  if (Process* process = table_.find(pid)) process->uid = uid;
}

void ProcessDetails::changed_gid(int32_t pid, uint32_t gid) {
  if (Process* process = table_.find(pid)) process->gid = gid;
}

Process* ProcessDetails::at(int32_t pid, uint64_t stamp_ns) {
  Process* process = table_.find(pid);
  return process != nullptr && process->born_ns <= stamp_ns ? process : nullptr;
}

void ProcessDetails::on_exit(int32_t pid, uint64_t stamp_ns) {
  if (at(pid, stamp_ns) != nullptr) table_.erase(pid);
}

knell_id ProcessDetails::stamp_id(int32_t pid, uint64_t stamp_ns) const {
  return {boot_, pid, stamp_ns, KNELL_ID_STAMP};
}

knell_id ProcessDetails::id_of(int32_t pid, uint64_t stamp_ns) {
  if (pid <= 0) return {};
  const Process* process = at(pid, stamp_ns);
  if (process == nullptr || process->start_kind == KNELL_ID_NONE)
    return {boot_, pid, 0, KNELL_ID_NONE};
  return {boot_, pid, process->start, process->start_kind};
}

void ProcessDetails::describe(Slot& slot, int32_t pid, ReadProc read_proc) {
  knell_event& event = slot.event;
  event.id = stamp_id(pid, event.mono_ns);
  if (!on()) return;
  if (const Process* process = at(pid, event.mono_ns)) {
    fill(slot, *process);
  } else if (read_proc != ReadProc::kNo) {
    Process now;
    now.pid = pid;
    if (!read(now, event.mono_ns)) return;
    if (read_proc == ReadProc::kIdentity) now.keep_identity_only();
    fill(slot, now);
  }
}

void ProcessDetails::fill(Slot& slot, const Process& process) {
  knell_event& event = slot.event;
  if (process.start_kind != KNELL_ID_NONE)
    event.id = {boot_, process.pid, process.start, process.start_kind};
  if (process.has_comm) {
    slot.comm = process.comm;
    event.comm = event::known_view_of(slot.comm);
  }
  fill_parent(slot, process);
  if (process.has_ids) {
    event.has |= KNELL_HAS_UID | KNELL_HAS_GID;
    event.uid = process.uid;
    event.gid = process.gid;
    const UserNames::Name& user = users_.find(process.uid);
    slot.user = user;
    if (user != nullptr) event.user = event::view_of(*user);
  }
  slot.tty = event::tty_name(process.tty);
  event.tty = event::view_of(slot.tty);
  slot.image = process.image;
  if (const Image* image = process.image.get()) {
    if (image->has_args) event.args = {image->args.data(), image->args.size()};
    if (image->args_truncated) event.flags |= KNELL_FLAG_ARGS_TRUNCATED;
    event.exe = event::view_of(image->exe);
    event.cwd = event::view_of(image->cwd);
  }
  slot.cgroup = process.cgroup;
  fill_cgroup(event, process.cgroup.get());
  if (event.type == KNELL_EVENT_EXIT && process.born_ns > 1 && process.born_ns <= event.mono_ns) {
    event.has |= KNELL_HAS_DURATION;
    event.duration_ns = event.mono_ns - process.born_ns;
  }
}

// Uses the parent at birth if known: the process that adopted an orphan says nothing about it.
void ProcessDetails::fill_parent(Slot& slot, const Process& process) {
  knell_event& event = slot.event;
  if (process.ppid <= 0) return;
  event.ppid = process.ppid;
  event.parent_id = {boot_, process.ppid, process.parent_start, process.parent_start_kind};
  slot.parent_comm = process.parent_comm;
  bool known = process.has_parent_comm;
  const Process* parent = table_.find(process.ppid);
  const bool still_there = parent != nullptr && parent->born_ns <= process.born_ns;
  if (still_there) {
    slot.parent_comm = parent->comm;
    known = parent->has_comm;
    event.parent_id.start = parent->start;
    event.parent_id.kind = parent->start_kind;
  }
  if (known) event.parent_comm = event::known_view_of(slot.parent_comm);
}

}  // namespace knell::process
