// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/event_filler.h"

#include <algorithm>

#include "event/tty.h"
#include "watch/proc_reader.h"
#include "watch/string_views.h"

namespace knell::watch {
namespace {

// `to`: killed_by or last_signal. The names are kept in `comm` and `parent_comm`.
template <class To>
void fill_sender(To& to, Comm& comm, Comm& parent_comm, const event::Sender& sender) {
  to.pid = sender.pid;
  to.uid = sender.uid;
  comm = sender.comm;
  to.comm = known_view_of(comm);
  if (sender.parent_pid == 0) return;
  parent_comm = sender.parent_comm;
  to.parent_comm = known_view_of(parent_comm);
}

}  // namespace

void EventFiller::fill(Batch& batch, Slot& slot, const event::Full& full) {
  knell_event& event = slot.event;
  event.via = KNELL_VIA_BPF;
  if (full.ppid > 0) event.ppid = full.ppid;
  event.id = id_of(full.pid, full.start_boot_ns);
  if (full.start_boot_ns == 0) event.id = {boot_, full.pid, full.stamp_ns, KNELL_ID_STAMP};
  if (full.ppid > 0) event.parent_id = id_of(full.ppid, full.parent_start_boot_ns);
  slot.levels = batch.copy(full.levels);
  slot.levels_known = full.levels_known;
  if (full.has_details) fill_details(batch, slot, full);
  switch (full.what) {
    case KNELL_EVENT_FORK:
      event.child_pid = full.u.child.pid;
      event.child_tid = full.u.child.tid;
      event.child_id = id_of(full.u.child.pid, full.u.child.start_boot_ns);
      break;
    case KNELL_EVENT_EXIT:
      fill_exit(batch, slot, full);
      break;
    case KNELL_EVENT_COMM:
      std::copy_n(full.u.new_comm, slot.new_comm.size(), slot.new_comm.begin());
      event.new_comm = known_view_of(slot.new_comm);
      break;
    case KNELL_EVENT_UID:
      event.ruid = full.u.id.real;
      event.euid = full.u.id.effective;
      break;
    case KNELL_EVENT_GID:
      event.rgid = full.u.id.real;
      event.egid = full.u.id.effective;
      break;
    case KNELL_EVENT_PTRACE:
      event.tracer_pid = full.u.ptrace.tracer_pid;
      break;
    default:
      break;
  }
}

void EventFiller::fill_details(Batch& batch, Slot& slot, const event::Full& full) {
  knell_event& event = slot.event;
  slot.comm = full.comm;
  event.comm = known_view_of(slot.comm);
  slot.parent_comm = full.parent_comm;
  event.parent_comm = known_view_of(slot.parent_comm);
  event.has |= KNELL_HAS_UID | KNELL_HAS_GID;
  event.uid = full.uid;
  event.gid = full.gid;
  slot.user = users_.find(full.uid);
  if (slot.user != nullptr) event.user = view_of(*slot.user);
  if (full.has_args) {
    const std::string_view args = without_title_padding(full.args, full.args_end);
    event.args = batch.copy(args, Batch::Ended::kYes);
  }
  if (full.args_truncated) event.flags |= KNELL_FLAG_ARGS_TRUNCATED;
  if (!full.exe.empty()) event.exe = batch.copy(full.exe);
  if (!full.cwd.empty()) event.cwd = batch.copy(full.cwd);
  slot.tty = event::tty_name(full.tty);
  event.tty = view_of(slot.tty);
  slot.cgroup = cgroups_.find(full.cgroup);
  if (slot.cgroup == nullptr) return;
  event.cgroup = view_of(slot.cgroup->path);
  event.unit = view_of(slot.cgroup->unit);
  event.container_id = view_of(slot.cgroup->container_id);
}

void EventFiller::fill_exit(Batch& batch, Slot& slot, const event::Full& full) {
  knell_event& event = slot.event;
  event.has |= KNELL_HAS_STATUS;
  event.wait_status = full.u.exit.status;
  event.exit_signal = full.u.exit.signal;
  const uint64_t over_ns = time_.boottime_ns(full.stamp_ns);
  if (full.start_boot_ns != 0 && full.start_boot_ns <= over_ns) {
    event.has |= KNELL_HAS_DURATION;
    event.duration_ns = over_ns - full.start_boot_ns;
  }
  if (full.killer.cause != 0) fill_killer(batch, slot, full);
  if (full.last_sender.cause != 0) fill_last_signal(slot, full);
}

void EventFiller::fill_killer(Batch& batch, Slot& slot, const event::Full& full) {
  const event::Sender& sender = full.killer;
  slot.event.has |= KNELL_HAS_KILLER;
  auto& killer = slot.event.killed_by;
  killer.cause = sender.cause;
  if (!full.memory_cgroup.empty()) killer.memory_cgroup = batch.copy(full.memory_cgroup);
  if (sender.pid == 0) return;
  killer.parent_pid = sender.parent_pid;
  fill_sender(killer, slot.killer_comm, slot.killer_parent_comm, sender);
  slot.killer_cgroup = cgroups_.find(sender.cgroup);
  if (slot.killer_cgroup != nullptr) killer.unit = view_of(slot.killer_cgroup->unit);
}

void EventFiller::fill_last_signal(Slot& slot, const event::Full& full) {
  const event::Sender& sender = full.last_sender;
  slot.event.has |= KNELL_HAS_LAST_SIGNAL;
  auto& last_signal = slot.event.last_signal;
  last_signal.signal = static_cast<int32_t>(sender.signal);
  if (sender.stamp_ns < full.stamp_ns) last_signal.ago_ns = full.stamp_ns - sender.stamp_ns;
  if (sender.pid != 0)
    fill_sender(last_signal, slot.last_sender_comm, slot.last_sender_parent_comm, sender);
}

knell_id EventFiller::id_of(int32_t pid, uint64_t start_boot_ns) const {
  if (start_boot_ns == 0) return {boot_, pid, 0, KNELL_ID_NONE};
  return {boot_, pid, start_boot_ns / Timebase::kTickNs, KNELL_ID_START};
}

}  // namespace knell::watch
