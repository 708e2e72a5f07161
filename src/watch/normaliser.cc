// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/normaliser.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "watch/string_views.h"

namespace knell::watch {
namespace {

constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;
constexpr uint64_t kLookNs = 1'000'000'000;  // picked, never tuned

}  // namespace

Normaliser::Normaliser(const NormaliserOptions& options, const ProcReader& proc, const Clock& clock,
                       ProcessProbe& probe, EventFilter& event_filter, Batch& batch)
    : options_(options),
      proc_(proc),
      clock_(clock),
      probe_(probe),
      event_filter_(event_filter),
      batch_(batch),
      process_details_(options.details, options.boot, proc, time_, options.limits),
      filler_(options.boot, time_),
      exits_(probe, options.most_watched) {
  time_.take(clock_);
  if (options.user_names) return;
  process_details_.users().disable();
  filler_.users().disable();
}

void Normaliser::snapshot() {
  begin_snapshot();
  scan_rest();
  lineage_.scan(proc_);
}

void Normaliser::begin_snapshot() {
  time_.take(clock_);
  if (options_.full_events) return filler_.cgroups().begin_scan();
  process_details_.begin_scan(clock_.monotonic_ns());
  count_threads();
}

void Normaliser::scan_rest() {
  ScanBudget all;
  (void)scan_some(all);
}

bool Normaliser::scan_some(ScanBudget& budget) {
  const auto awaited = [&](int32_t pid) { return exits_.knows(pid); };
  if (process_details_.scanning() &&
      !process_details_.scan_some(budget, clock_.monotonic_ns(), awaited))
    return false;
  return threads_.scan_some(proc_, budget) && filler_.cgroups().scan_some(budget);
}

void Normaliser::set_reported_types(uint32_t mask) {
  const uint32_t before = std::exchange(reported_types_, mask);
  exits_.set_zeros_filtered((mask & KNELL_EVENT_EXIT) == 0);
  if (((before ^ mask) & KNELL_EVENT_FORK) != 0) count_threads();
  if (scan_time_ == ScanTime::kNow) scan_rest();
}

void Normaliser::count_threads() {
  if ((reported_types_ & KNELL_EVENT_FORK) != 0)
    threads_.begin(proc_);
  else
    threads_.end();
}

void Normaliser::set_details(uint32_t details) {
  if (details == process_details_.details()) return;
  const bool more = details < process_details_.details();  // enum knell_details counts down to more
  process_details_.set_details(details);
  if (!more) return;
  begin_snapshot();
  if (scan_time_ == ScanTime::kNow) scan_rest();
}

bool Normaliser::follow(std::span<const int32_t> roots) {
  lineage_.keep_only(roots);
  bool room = true, fresh = false;
  for (const int32_t root : roots) {
    if (lineage_.is_root(root)) continue;
    room &= lineage_.follow(root, clock_.monotonic_ns());
    fresh = true;
  }
  if (fresh && scan_time_ == ScanTime::kNow) lineage_.scan(proc_);
  if (fresh && scan_time_ == ScanTime::kLater) lineage_.begin_scan();
  return room;
}

void Normaliser::begin_drain() { time_.take(clock_); }

size_t Normaliser::probe_exits() {
  const size_t dead = exits_.probe_exits(batch_.room(), clock_.monotonic_ns());
  if (dead > 0) exits_.set_death_time(clock_.monotonic_ns());
  return dead;
}

void Normaliser::on_raw(const event::Raw& raw) {
  // (The stamp of a hole is the time at which the reader found it, not a time up to which all is
  // read.)
  if (raw.what != KNELL_EVENT_LOST) set_read_until(raw.stamp_ns);
  switch (raw.what) {
    case KNELL_EVENT_FORK:
      return on_fork(raw);
    case KNELL_EVENT_EXEC:
      return on_exec(raw);
    case KNELL_EVENT_EXIT:
      return on_exit(raw);
    case KNELL_EVENT_LOST:
      return on_lost(raw);
    case KNELL_EVENT_NONE:
      return;  // the kernel's ack of a request
    default:
      return on_change(raw);
  }
}

// Reserves the next slot and fills the fields that every event has; nullptr: the type is not
// wanted. Must be followed by commit().
Slot* Normaliser::begin(uint32_t type, int32_t pid, int32_t tid, uint64_t stamp_ns) {
  if (!wanted(type)) return nullptr;
  Slot* slot = batch_.reserve();
  fill(*slot, type, pid, tid, stamp_ns);
  return slot;
}

void Normaliser::fill(Slot& slot, uint32_t type, int32_t pid, int32_t tid, uint64_t stamp_ns) {
  knell_event& event = slot.event;
  event.size = sizeof event;
  event.type = type;
  event.via = options_.via;
  event.mono_ns = stamp_ns;
  event.time_ns = time_.realtime_ns(stamp_ns);
  event.pid = pid;
  event.tid = tid;
}

void Normaliser::commit(Slot* slot) {
  if (options_.full_events)
    commit(slot, event_filter_.roots_of(slot->event.pid));
  else if (slot->ready = event_filter_.wants(*slot, lineage_); !slot->ready)
    batch_.release_last(slot);
}

void Normaliser::commit(Slot* slot, uint64_t roots) {
  slot->ready = event_filter_.wants(*slot, RootBits(roots_, roots));
  if (!slot->ready) batch_.release_last(slot);
}

// Nothing has to be probed: the source sends an exit only once the process has ended.
void Normaliser::on_full(const event::Full& full) {
  set_read_until(full.stamp_ns);
  if (full.for_levels_only) return;
  if (full.what == KNELL_EVENT_EXIT) exits_.forget(full.pid);
  if (Slot* slot = begin(full.what, full.pid, full.tid, full.stamp_ns)) {
    // A listener named this process while it was dying: /proc may still have some of its details.
    if (!full.has_details) {
      const bool over = full.what == KNELL_EVENT_EXIT;
      process_details_.describe(
          *slot, full.pid,
          over ? ProcessDetails::ReadProc::kYes : ProcessDetails::ReadProc::kIdentity);
    }
    filler_.fill(batch_, *slot, full);
    commit(slot, full.roots);
  }
  if (full.what == KNELL_EVENT_EXIT && process_level())
    event_filter_.on_process_ended(full.pid, full.start_boot_ns / Timebase::kTickNs);
}

void Normaliser::on_fork(const event::Raw& raw) {
  const int32_t parent = raw.u.fork.parent_pid;
  const bool thread = raw.tid != raw.pid;
  if (thread) {
    threads_.on_fork(raw.pid);
  } else {
    threads_.on_single_thread(raw.pid);
    ++born_;
    // An older process with this pid has certainly ended. Exception: a listener named this very
    // process while its fork event was still queued.
    const Dying* dying = exits_.find(raw.pid);
    if (dying == nullptr || dying->followed_ns < raw.stamp_ns) {
      if (dying != nullptr) end_of_one(raw.pid, *dying, ExitTracker::status_from_exits(*dying));
      exits_.forget(raw.pid);
    }
    process_details_.on_fork(raw);
    lineage_.on_fork(raw.pid, parent, raw.stamp_ns);
  }
  if (thread && process_level()) return;
  Slot* slot = begin(KNELL_EVENT_FORK, parent, raw.u.fork.parent_tid, raw.stamp_ns);
  if (slot == nullptr) return;
  process_details_.describe(*slot, parent, ProcessDetails::ReadProc::kNo);
  slot->event.child_pid = raw.pid;
  slot->event.child_tid = raw.tid;
  slot->event.child_id = process_details_.on() ? process_details_.id_of(raw.pid, raw.stamp_ns)
                                               : process_details_.stamp_id(raw.pid, raw.stamp_ns);
  commit(slot);
}

void Normaliser::on_exec(const event::Raw& raw) {
  // An exec by another thread kills the leader and takes its place: the EXIT of the leader was not
  // the end of the process.
  if (const Dying* dying = exits_.find(raw.pid);
      dying != nullptr && dying->last_ns <= raw.stamp_ns && dying->followed_ns <= raw.stamp_ns)
    exits_.forget(raw.pid);
  threads_.on_single_thread(raw.pid);
  // The details stored at its previous exec were read after this exec: they may be of either
  // program.
  const Process* before = process_details_.at(raw.pid, raw.stamp_ns);
  if (before != nullptr && before->read_ns > raw.stamp_ns) forget_program(*before);
  process_details_.on_exec(raw);
  if (process_details_.on()) process_details_.note_read(raw.pid, clock_.monotonic_ns());
  Slot* slot = begin(KNELL_EVENT_EXEC, raw.pid, raw.tid, raw.stamp_ns);
  if (slot == nullptr) return;
  process_details_.describe(*slot, raw.pid, ProcessDetails::ReadProc::kNo);
  commit(slot);
}

// Blanks the program's details in the events of this batch that have them.
void Normaliser::forget_program(const Process& process) {
  for (size_t i = 0; i < batch_.size(); ++i) {
    Slot& slot = batch_[i];
    if (slot.event.pid != process.pid || slot.image != process.image || slot.comm != process.comm)
      continue;
    slot.event.comm = slot.event.args = slot.event.exe = slot.event.cwd = {nullptr, 0};
    slot.event.flags &= ~KNELL_FLAG_ARGS_TRUNCATED;
  }
}

// Handles uid, gid, sid, ptrace, comm and coredump events: the process is still alive.
void Normaliser::on_change(const event::Raw& raw) {
  const bool leader = raw.tid == raw.pid;
  if (raw.what == KNELL_EVENT_SID) process_details_.left_terminal(raw.pid);
  // A crash concerns the process, whichever thread crashed. Other events concern the process only
  // when they are of its leader.
  const bool of_process = leader || raw.what == KNELL_EVENT_COREDUMP;
  Slot* slot =
      of_process || !process_level() ? begin(raw.what, raw.pid, raw.tid, raw.stamp_ns) : nullptr;
  if (slot != nullptr) {
    knell_event& event = slot->event;
    process_details_.describe(*slot, raw.pid, ProcessDetails::ReadProc::kIdentity);
    if (raw.what == KNELL_EVENT_UID || raw.what == KNELL_EVENT_GID) {
      fill_ids(*slot, raw);
    } else if (raw.what == KNELL_EVENT_PTRACE) {
      event.tracer_pid = raw.u.ptrace.tracer_pid;
    } else if (raw.what == KNELL_EVENT_COREDUMP && event.ppid == 0) {
      event.ppid = raw.u.coredump.parent_pid;
    } else if (raw.what == KNELL_EVENT_COMM) {
      std::memcpy(slot->new_comm.data(), raw.u.comm.name, slot->new_comm.size());
      event.new_comm = {slot->new_comm.data(),
                        ::strnlen(slot->new_comm.data(), slot->new_comm.size())};
    }
    commit(slot);
  }
  if (raw.what == KNELL_EVENT_COREDUMP && !options_.full_events) exits_.crashed(raw.pid, raw.tid);
  if (raw.what == KNELL_EVENT_UID && leader) process_details_.changed_uid(raw.pid, raw.u.id.real);
  if (raw.what == KNELL_EVENT_GID && leader) process_details_.changed_gid(raw.pid, raw.u.id.real);
  // After the event, which has the old name.
  if (raw.what == KNELL_EVENT_COMM && leader) process_details_.on_comm(raw);
}

// Each thread has its own ids: those of the leader count as the ids of the process.
void Normaliser::fill_ids(Slot& slot, const event::Raw& raw) {
  knell_event& event = slot.event;
  const bool uid = raw.what == KNELL_EVENT_UID;
  (uid ? event.ruid : event.rgid) = raw.u.id.real;
  (uid ? event.euid : event.egid) = raw.u.id.effective;
  if (!process_details_.on()) return;
  if (uid) {
    event.has |= KNELL_HAS_UID;
    event.uid = raw.u.id.real;
    slot.user = process_details_.users().find(event.uid);
    event.user = slot.user != nullptr ? view_of(*slot.user) : knell_string{nullptr, 0};
  } else {
    event.has |= KNELL_HAS_GID;
    event.gid = raw.u.id.real;
  }
}

void Normaliser::on_exit(const event::Raw& raw) {
  const bool leader = raw.tid == raw.pid;
  const End thread_end{raw.pid,           raw.tid,
                       raw.stamp_ns,      static_cast<int32_t>(raw.u.exit.code),
                       raw.u.exit.signal, leader ? raw.u.exit.parent_pid : 0};
  if (!process_level() && wanted(kExits)) {
    Slot* slot = batch_.reserve();
    fill_exit(*slot, thread_end);
    commit(slot);
  }
  if (!leader) threads_.on_exit(raw.pid);
  const uint32_t others = threads_.others(raw.pid);
  if (leader && others == 0 && !exits_.knows(raw.pid))
    return end(thread_end, wanted(kExits) && process_level() ? batch_.reserve() : nullptr);
  Dying* dying = nullptr;
  if (exits_.note(raw, others, &dying) != ExitTracker::NoteResult::kNew) return;
  // The place of the exit event is that of the last EXIT. A slot reserved by an earlier EXIT stays
  // unfilled and is skipped.
  dying->slot = process_level() && wanted(kExits) ? batch_.reserve() : nullptr;
}

void Normaliser::on_process_ended(int32_t pid, uint64_t stamp_ns, bool status_known,
                                  int32_t wait_status) {
  const auto status = status_known ? std::optional(wait_status) : std::nullopt;
  end(End{pid, pid, stamp_ns, status, 0, 0}, wanted(kExits) ? batch_.reserve() : nullptr);
}

void Normaliser::finish() {
  const auto room = [&] { return !process_level() || !wanted(kExits) || batch_.room() > 0; };
  exits_.finish(read_until_ns_, room, [&](const ExitTracker::Ended& ended) {
    end_of_one(ended.pid, ended.dying, ended.status);
  });
  // Entries that changed during the hole would make later events wrong. Reading /proc again takes
  // time, so it is done at most once in kLookNs, however many holes there are.
  const uint64_t now = hole_ ? clock_.monotonic_ns() : 0;
  if (!hole_ || now < looked_ns_ + kLookNs) return;
  hole_ = false;
  looked_ns_ = now;
  snapshot();
}

void Normaliser::end_of_one(int32_t pid, const Dying& dying, std::optional<int32_t> status) {
  Slot* slot = dying.slot;
  const bool room = slot != nullptr || batch_.room() > 0;
  if (slot == nullptr && process_level() && wanted(kExits) && room) slot = batch_.reserve();
  const bool now = dying.ended_now || dying.last_ns == 0;
  end(End{pid, pid, now ? clock_.monotonic_ns() : dying.last_ns, status, dying.signal,
          dying.parent},
      slot);
}

// The process has ended. `slot`: the blank slot for its exit event; nullptr: not wanted.
void Normaliser::end(const End& end, Slot* slot) {
  uint64_t start = 0;
  if (slot != nullptr) {
    fill_exit(*slot, end);
    // A source of whole processes reports exits in full events; this exit was detected by a pidfd.
    if (options_.full_events) slot->event.via = KNELL_VIA_PIDFD;
    slot->ready = event_filter_.wants(*slot, lineage_);
    if (slot->event.id.kind == KNELL_ID_START) start = slot->event.id.start;
  }
  event_filter_.on_process_ended(end.pid, start);
  process_details_.on_exit(end.pid, end.stamp_ns);
  lineage_.on_exit(end.pid);
  threads_.on_single_thread(end.pid);
}

void Normaliser::fill_exit(Slot& slot, const End& end) {
  fill(slot, KNELL_EVENT_EXIT, end.pid, end.tid, end.stamp_ns);
  knell_event& event = slot.event;
  if (end.status) {
    event.has |= KNELL_HAS_STATUS;
    event.wait_status = *end.status;
  }
  event.exit_signal = end.signal;
  process_details_.describe(slot, end.pid, ProcessDetails::ReadProc::kYes);
  if (event.ppid == 0) event.ppid = end.parent;
}

void Normaliser::on_lost(const event::Raw& raw) {
  hole_ = !options_.full_events;
  threads_.end();
  Slot* slot = batch_.reserve();
  fill(*slot, KNELL_EVENT_LOST, 0, 0, raw.stamp_ns);
  knell_event& event = slot->event;
  constexpr uint32_t kOfWhole =
      KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT | KNELL_EVENT_COMM;
  if (options_.full_events && (raw.u.lost.types & kOfWhole) != 0) event.via = KNELL_VIA_BPF;
  if (raw.u.lost.counted) {
    event.has |= KNELL_HAS_COUNT;
    event.lost_count = raw.u.lost.count;
  }
  if (raw.u.lost.exact) event.flags |= KNELL_FLAG_EXACT;
  event.lost_types = raw.u.lost.types;
  event.lost_from_ns = raw.u.lost.from_ns;
  event.lost_until_ns = raw.stamp_ns;
  event.lost_from_time_ns = time_.realtime_ns(raw.u.lost.from_ns);
  event.lost_until_time_ns = time_.realtime_ns(raw.stamp_ns);
  commit(slot);
}

void Normaliser::sweep(size_t at_least) {
  // An entry of a dead process is marked at one visit and erased at a later one. With three visits
  // for each birth, a round over n entries takes n/3 births, so the table stays near the size of
  // what lives and what was born within the last second.
  const size_t count = 3 * born_ + at_least;
  born_ = 0;
  const uint64_t now = clock_.monotonic_ns();
  const auto is_gone = [&](int32_t pid) { return !probe_.exists(pid); };
  if (process_details_.on()) process_details_.sweep(count, now, is_gone);
  lineage_.sweep(count, now, is_gone);
  threads_.sweep(count, now, is_gone);
  exits_.sweep(at_least);
}

}  // namespace knell::watch
