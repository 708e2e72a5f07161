// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/event_builder.h"

#include <knell/knell.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "event/string_views.h"
#include "event/tty.h"
#include "process/proc_reader.h"

namespace knell::source {
namespace {

using process::Timebase;

// memcpy() copies the levels from the record.
static_assert(sizeof(event::NamespacePids) == sizeof(knell_numbers) &&
              static_cast<size_t>(KNELL_MOST_LEVELS) == event::kMostLevels);

constexpr std::string_view kDeleted = " (deleted)";  // the suffix of the links in /proc

event::Comm comm_of(const char (&comm)[KNELL_COMM_BYTES]) {
  event::Comm copy;
  std::copy_n(comm, copy.size(), copy.begin());
  return copy;
}

// Removes the first sender from `senders` and returns it.
knell_sender take_sender(std::string_view& senders) {
  knell_sender sender;
  std::memcpy(&sender, senders.data(), sizeof sender);
  senders.remove_prefix(sizeof sender);
  return sender;
}

// `to`: killed_by or last_signal. `comm` and `parent_comm` store the names.
template <class To>
void fill_sender(To& to, event::Comm& comm, event::Comm& parent_comm, const knell_sender& sender) {
  to.pid = sender.pid;
  to.uid = sender.uid;
  comm = comm_of(sender.comm);
  to.comm = event::known_view_of(comm);
  if (sender.parent_pid == 0) return;
  parent_comm = comm_of(sender.parent_comm);
  to.parent_comm = event::known_view_of(parent_comm);
}

uint32_t what_of(const Decoded& record) {
  switch (record.head->kind) {
    case KNELL_RECORD_CHANGE:
      return record.process->what;
    case KNELL_RECORD_FORK:
      return KNELL_EVENT_FORK;
    case KNELL_RECORD_EXEC:
      return KNELL_EVENT_EXEC;
    case KNELL_RECORD_COMM:
      return KNELL_EVENT_COMM;
    default:
      return KNELL_EVENT_EXIT;
  }
}

}  // namespace

EventBuilder::Subject EventBuilder::subject_of(const Decoded& record) {
  const knell_process& process = *record.process;
  return {.what = what_of(record),
          .pid = process.pid,
          .tid = process.tid,
          .ppid = process.ppid,
          .stamp_ns = record.head->stamp_ns,
          .start_ns = process.start_ns,
          .parent_start_ns = process.parent_start_ns,
          .uid = process.uid,
          .roots = process.roots,
          .status = process.status,
          .signal = process.signal,
          .details_lost = false,
          .levels = record.levels,
          .levels_known = (record.head->flags & KNELL_RECORD_LEVELS) != 0};
}

void EventBuilder::add(const Decoded& record, uint64_t roots) {
  if (record.head->kind == KNELL_RECORD_FORK && namespaces_) report_birth(record);
  if (record.head->kind == KNELL_RECORD_FORK && lifetimes_) {
    const knell_process& process = *record.process;
    if (process.child_tid == process.child_pid)
      out_.sink().on_process_begun(process.child_pid, process.child_start_ns / Timebase::kTickNs,
                                   /*exact=*/true);
  }
  if ((record.head->flags & KNELL_RECORD_BIRTH) != 0) return;  // no listener wants the event itself
  Subject subject = subject_of(record);
  subject.roots = roots;
  add(subject, &record);
}

void EventBuilder::add_exit(const Decoded* details, const knell_mark& mark, uint64_t roots,
                            DetailsLost lost) {
  const bool described = details != nullptr && details->process != nullptr;
  Subject subject{};
  if (described) {
    subject = subject_of(*details);
  } else {
    subject.pid = subject.tid = mark.pid;
    subject.start_ns = mark.start_ns;
    subject.ppid = mark.ppid;
    subject.uid = mark.uid;
  }
  subject.what = KNELL_EVENT_EXIT;
  subject.stamp_ns = mark.head.stamp_ns;
  subject.status = mark.status;
  subject.signal = mark.signal;
  subject.details_lost = !described && details_ && lost == DetailsLost::kYes;
  subject.roots = roots;
  add(subject, described ? details : nullptr);
}

void EventBuilder::add_missed(const Missed& missed, uint64_t roots) {
  const bool fork = missed.type == KNELL_EVENT_FORK, over = missed.type == KNELL_EVENT_EXIT;
  const int32_t subject = fork ? missed.ppid : missed.pid;
  const knell_id id{out_.boot(), missed.pid, missed.start, KNELL_ID_START};
  if (Slot* slot = out_.begin(missed.type, KNELL_VIA_BPF, subject, subject, missed.found_ns)) {
    knell_event& event = slot->event;
    if (!over) table_.describe(*slot, subject, process::ProcessTable::ReadProc::kYes);
    if (!fork) event.id = id;
    if (fork) {
      event.child_pid = event.child_tid = missed.pid;
      event.child_id = id;
    }
    if (missed.status) {
      event.has |= KNELL_HAS_STATUS;
      event.wait_status = *missed.status;
    }
    out_.commit(*slot, filter::RootBits(roots_, roots));
  }
  if (over) out_.sink().on_process_ended(missed.pid, missed.start, {});
}

void EventBuilder::add(const Subject& subject, const Decoded* record) {
  if (raw_) report_thread_event(subject, record);
  const std::span<const event::NamespacePids> levels = read_levels(subject.levels);
  const bool over = subject.what == KNELL_EVENT_EXIT;
  if (Slot* slot =
          out_.begin(subject.what, KNELL_VIA_BPF, subject.pid, subject.tid, subject.stamp_ns)) {
    const bool described = record != nullptr && (record->head->flags & KNELL_RECORD_NAMED) != 0;
    // A listener added this process while it was dying: /proc may still have some of its details.
    if (!described)
      table_.describe(
          *slot, subject.pid,
          over ? process::ProcessTable::ReadProc::kYes : process::ProcessTable::ReadProc::kIdentity,
          subject.start_ns / Timebase::kTickNs);
    fill(*slot, subject);
    slot->levels = out_.batch().copy(levels);
    slot->levels_known = subject.levels_known;
    if (described) fill_details(*slot, *record);
    if (!described && (owners_ || subject.details_lost)) set_uid(*slot, subject.uid);
    if (subject.details_lost) slot->event.flags |= KNELL_FLAG_DETAILS_LOST;
    if (over) fill_exit(*slot, subject);
    if (over && described) fill_senders(*slot, subject, *record);
    if (!over) fill_type(*slot, subject.what, *record->process);
    out_.commit(*slot, filter::RootBits(roots_, subject.roots));
  }
  if (over && !raw_)
    out_.sink().on_process_ended(subject.pid, subject.start_ns / Timebase::kTickNs, levels);
}

// The levels are unaligned in the record. Valid until the next call.
std::span<event::NamespacePids> EventBuilder::read_levels(std::string_view levels) {
  const size_t count = std::min(levels.size() / sizeof(knell_numbers), levels_.size());
  if (count > 0) std::memcpy(levels_.data(), levels.data(), count * sizeof(knell_numbers));
  return std::span(levels_).first(count);
}

// ------------------------------------------------------------------------------ for the raw level

// The event that the connector would have sent; docs/compat.md lists the differences.
void EventBuilder::report_thread_event(const Subject& subject, const Decoded* record) {
  event::Raw raw;
  raw.what = subject.what;
  raw.stamp_ns = subject.stamp_ns;
  raw.pid = subject.pid;
  raw.tid = subject.tid;
  const knell_process* process = record == nullptr ? nullptr : record->process;
  const std::span<event::NamespacePids> levels = read_levels(subject.levels);
  Owner owner{.uid = subject.uid, .levels = levels, .levels_known = subject.levels_known};
  const bool leader = subject.tid == subject.pid;
  switch (subject.what) {
    case KNELL_EVENT_FORK:
      raw.pid = process->child_pid;
      raw.tid = process->child_tid;
      raw.u.fork = {.parent_tid = subject.pid, .parent_pid = subject.pid};
      owner.uid = process->child_uid;
      for (event::NamespacePids& level : levels)
        level = {.ns = level.ns,
                 .pid = level.child_pid,
                 .tid = level.child_tid,
                 .other_pid = level.pid,
                 .other_ppid = level.pid};
      break;
    case KNELL_EVENT_EXIT:
      raw.u.exit = {.code = static_cast<uint32_t>(subject.status),
                    .signal = static_cast<uint32_t>(subject.signal),
                    .parent_tid = leader ? subject.ppid : 0,
                    .parent_pid = leader ? subject.ppid : 0};
      for (event::NamespacePids& level : levels)
        level.other_pid = level.other_ppid = leader ? level.ppid : 0;
      break;
    case KNELL_EVENT_COMM:
      std::copy_n(process->new_comm, sizeof raw.u.comm.name, raw.u.comm.name);
      break;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      raw.u.id = {.real = process->change[0], .effective = process->change[1]};
      break;
    case KNELL_EVENT_PTRACE:
      raw.u.ptrace = {.tracer_tid = static_cast<int32_t>(process->change[0]),
                      .tracer_pid = static_cast<int32_t>(process->change[1])};
      for (event::NamespacePids& level : levels) level.other_ppid = level.other_pid;
      break;
    case KNELL_EVENT_COREDUMP:
      raw.u.coredump = {.parent_tid = subject.ppid, .parent_pid = subject.ppid};
      for (event::NamespacePids& level : levels) level.other_pid = level.other_ppid = level.ppid;
      break;
    default:
      break;
  }
  out_.sink().on_thread_event(raw, owner);
}

void EventBuilder::report_birth(const Decoded& record) {
  const knell_process& process = *record.process;
  out_.sink().on_birth({.pid = process.child_pid,
                        .tid = process.child_tid,
                        .start = process.child_start_ns / Timebase::kTickNs,
                        .uid = process.child_uid,
                        .stamp_ns = record.head->stamp_ns,
                        .levels = read_levels(record.levels),
                        .levels_known = (record.head->flags & KNELL_RECORD_LEVELS) != 0});
}

// ----------------------------------------------------------------------------------------- fields

// Sets the uid and, if details are wanted, the user name.
void EventBuilder::set_uid(Slot& slot, uint32_t uid) {
  knell_event& event = slot.event;
  event.has |= KNELL_HAS_UID;
  event.uid = uid;
  if (!details_) return;
  const process::UserNames::Name& user = table_.users().find(uid);
  slot.user = user;
  event.user = user != nullptr ? event::view_of(*user) : knell_string{};
}

void EventBuilder::fill(Slot& slot, const Subject& subject) const {
  knell_event& event = slot.event;
  event.via = KNELL_VIA_BPF;
  event.id = id_of(subject.pid, subject.start_ns);
  if (subject.start_ns == 0)
    event.id = {out_.boot(), subject.pid, subject.stamp_ns, KNELL_ID_STAMP};
  if (subject.ppid <= 0) return;
  if (event.ppid == subject.ppid && subject.parent_start_ns == 0) return;  // /proc has more details
  // /proc names the process that has adopted it since
  if (event.ppid != subject.ppid) event.parent_comm = {};
  event.ppid = subject.ppid;
  event.parent_id = id_of(subject.ppid, subject.parent_start_ns);
}

void EventBuilder::fill_details(Slot& slot, const Decoded& record) {
  const knell_process& process = *record.process;
  const uint32_t flags = record.head->flags;
  knell_event& event = slot.event;
  slot.comm = comm_of(process.comm);
  event.comm = event::known_view_of(slot.comm);
  slot.parent_comm = comm_of(process.parent_comm);
  event.parent_comm = event::known_view_of(slot.parent_comm);
  set_uid(slot, process.uid);
  event.has |= KNELL_HAS_GID;
  event.gid = process.gid;
  if ((flags & KNELL_RECORD_ARGS) != 0) {
    const auto end = (flags & KNELL_RECORD_ARGS_PADDED) != 0  ? process::ArgsEnd::kTitlePadding
                     : (flags & KNELL_RECORD_ARGS_EXACT) != 0 ? process::ArgsEnd::kArguments
                                                              : process::ArgsEnd::kUnknown;
    event.args = out_.batch().copy(process::without_title_padding(record.args, end),
                                   event::Batch::Ended::kYes);
  }
  if ((flags & KNELL_RECORD_ARGS_CUT) != 0) event.flags |= KNELL_FLAG_ARGS_TRUNCATED;
  event.exe = copy_path(record.exe_names, (flags & KNELL_RECORD_EXE_DELETED) != 0);
  event.cwd = copy_path(record.cwd_names, (flags & KNELL_RECORD_CWD_DELETED) != 0);
  slot.tty = event::tty_name(process.tty);
  event.tty = event::view_of(slot.tty);
  const auto& cgroup = cgroups_.find(process.cgroup);
  slot.cgroup = cgroup;
  process::fill_cgroup(event, cgroup.get());
}

// The path is unknown if there are no names.
knell_string EventBuilder::copy_path(std::string_view names, bool deleted) {
  if (names.empty()) return {};
  const size_t suffix = deleted ? kDeleted.size() : 0;
  char* path = out_.batch().allocate(names.size() + suffix);
  if (!reverse_path(names, path)) return {};
  if (deleted) std::ranges::copy(kDeleted, path + names.size());
  return {path, names.size() + suffix};
}

void EventBuilder::fill_type(Slot& slot, uint32_t what, const knell_process& process) const {
  knell_event& event = slot.event;
  switch (what) {
    case KNELL_EVENT_FORK:
      event.child_pid = process.child_pid;
      event.child_tid = process.child_tid;
      event.child_id = id_of(process.child_pid, process.child_start_ns);
      break;
    case KNELL_EVENT_COMM:
      slot.new_comm = comm_of(process.new_comm);
      event.new_comm = event::known_view_of(slot.new_comm);
      break;
    case KNELL_EVENT_UID:
      event.ruid = process.change[0];
      event.euid = process.change[1];
      break;
    case KNELL_EVENT_GID:
      event.rgid = process.change[0];
      event.egid = process.change[1];
      break;
    case KNELL_EVENT_PTRACE:
      event.tracer_pid = static_cast<int32_t>(process.change[1]);
      break;
    default:
      break;
  }
}

void EventBuilder::fill_exit(Slot& slot, const Subject& subject) const {
  knell_event& event = slot.event;
  event.has |= KNELL_HAS_STATUS;
  event.wait_status = subject.status;
  event.exit_signal = static_cast<uint32_t>(subject.signal);
  const uint64_t over_ns = out_.time().boottime_ns(subject.stamp_ns);
  if (subject.start_ns == 0 || subject.start_ns > over_ns) return;
  event.has |= KNELL_HAS_DURATION;
  event.duration_ns = over_ns - subject.start_ns;
}

void EventBuilder::fill_senders(Slot& slot, const Subject& subject, const Decoded& record) {
  const uint32_t flags = record.head->flags;
  std::string_view senders = record.senders;
  knell_sender killer{}, last{};
  if ((flags & KNELL_RECORD_KILLER) != 0) killer = take_sender(senders);
  if ((flags & KNELL_RECORD_LAST_SENDER) != 0) last = take_sender(senders);
  const bool out_of_memory = (flags & KNELL_RECORD_OUT_OF_MEMORY) != 0;
  if (out_of_memory) killer.cause = KNELL_CAUSE_OOM;
  if (killer.cause != 0) {
    slot.event.killed_by.memory_cgroup =
        out_of_memory ? copy_path(record.memory_cgroup_names, false) : knell_string{};
    fill_killer(slot, killer);
  }
  if (last.cause != 0) fill_last_signal(slot, last, subject.stamp_ns);
}

void EventBuilder::fill_killer(Slot& slot, const knell_sender& sender) {
  slot.event.has |= KNELL_HAS_KILLER;
  auto& killer = slot.event.killed_by;
  killer.cause = sender.cause;
  if (sender.pid == 0) return;
  killer.parent_pid = sender.parent_pid;
  fill_sender(killer, slot.killer_comm, slot.killer_parent_comm, sender);
  const auto& cgroup = cgroups_.find(sender.cgroup);
  slot.killer_cgroup = cgroup;
  if (cgroup != nullptr) killer.unit = event::view_of(cgroup->unit);
}

void EventBuilder::fill_last_signal(Slot& slot, const knell_sender& sender, uint64_t stamp_ns) {
  slot.event.has |= KNELL_HAS_LAST_SIGNAL;
  auto& last_signal = slot.event.last_signal;
  last_signal.signal = static_cast<int32_t>(sender.signal);
  if (sender.stamp_ns < stamp_ns) last_signal.ago_ns = stamp_ns - sender.stamp_ns;
  if (sender.pid != 0)
    fill_sender(last_signal, slot.last_sender_comm, slot.last_sender_parent_comm, sender);
}

knell_id EventBuilder::id_of(int32_t pid, uint64_t start_ns) const {
  if (start_ns == 0) return {out_.boot(), pid, 0, KNELL_ID_NONE};
  return {out_.boot(), pid, start_ns / Timebase::kTickNs, KNELL_ID_START};
}

}  // namespace knell::source
