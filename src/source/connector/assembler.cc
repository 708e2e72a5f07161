// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/assembler.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/named_process.h"
#include "event/string_views.h"
#include "process/levels.h"

namespace knell::source {
namespace {

constexpr uint64_t kLookNs = 1'000'000'000;  // chosen, not measured
// How many processes are read again in a call of finish(), so that the socket is drained in
// between. Chosen, not measured: a few milliseconds.
constexpr size_t kReadAgain = 512;

// Whether the task of an event has run. Another source reports a birth before the child runs.
bool has_run(const event::Raw& raw) {
  if (raw.what != KNELL_EVENT_FORK && raw.what != KNELL_EVENT_PTRACE) return true;
  return !process_exists(raw.tid);
}

}  // namespace

Assembler::Assembler(const AssemblerOptions& options, Output& out, const process::ProcReader& proc,
                     ProcessProbe& probe)
    : options_(options),
      out_(out),
      probe_(probe),
      table_(proc, out.clock(), out.time(), out.boot(), options.limits),
      exits_(probe, options.most_watched) {
  if (!out.sink().wants_user_names()) table_.users().disable();
}

// -------------------------------------------------------------------------------- what is wanted

Result<void> Assembler::set_request(const SourceRequest& wanted, uint32_t mask) {
  reported_types_ = mask;
  lifetimes_ = wanted.lifetimes;
  exits_.set_reported_types(mask);
  const bool more = table_.keep({.details = wanted.details,
                                 .threads = (mask & KNELL_EVENT_FORK) != 0,
                                 .owners = wanted.owners || wanted.namespaces,
                                 .namespaces = wanted.namespaces});
  if (more) table_.begin_scan();
  if (!table_.follow(wanted.roots)) return say(EINVAL, "under: at most 64 processes can be named");
  if (!wanted.scan_later) scan_all();
  return {};
}

// With full details an exec event needs an immediate read of /proc: with a pacing of 10 ms the
// arguments of a short-lived process are gone in 19 of 20 cases. The pids of a child in its
// namespaces are read at its birth, too, unless another source reports them.
bool Assembler::is_urgent() const {
  const bool births = options_.births != nullptr && options_.births->reports_births();
  if (table_.kept().namespaces && !births) return true;
  return table_.kept().details == KNELL_DETAILS_FULL && (reported_types_ & KNELL_EVENT_EXEC) != 0;
}

void Assembler::scan_all() {
  ScanBudget all;
  (void)scan_some(all);
  (void)scan_under_roots(all);
}

bool Assembler::scan_some(ScanBudget& budget) {
  return table_.scan_some(budget, [&](int32_t pid) { return exits_.knows(pid); });
}

// ----------------------------------------------------------------------------------------- owners

// Adds the owner of the event's process, which decides which listeners may see the event.
void Assembler::add_owner(Slot& slot) {
  if (!table_.kept().owners) return;
  knell_event& event = slot.event;
  if (table_.kept().namespaces) {
    const process::Levels levels = process::levels_of(event, table_);
    slot.levels = out_.batch().copy(levels.of());
    slot.levels_known = levels.known;
  }
  if ((event.has & KNELL_HAS_UID) != 0) return;
  if (const auto uid = table_.uid_of(event.pid, event.mono_ns)) {
    event.has |= KNELL_HAS_UID;
    event.uid = *uid;
  }
}

void Assembler::commit(Slot& slot) {
  add_owner(slot);
  out_.commit(slot, table_);
}

// The connector reports a birth a moment before the other source, but only the other source reports
// the child's pids in its namespaces. So this reads all births that the other source has reported
// until now. If the birth is not among them, the pids are read from /proc, and searched again at
// the child's next event. Returns whether all births inside namespaces up to now are known.
bool Assembler::read_births(uint64_t stamp_ns) {
  if (!table_.kept().namespaces || options_.births == nullptr || stamp_ns < births_read_ns_)
    return false;
  births_read_ns_ = out_.clock().monotonic_ns();
  const auto read =
      options_.births->read_births([&](const process::Birth& birth) { table_.on_birth(birth); });
  if (read.lost) table_.on_births_lost();
  return read.complete;
}

void Assembler::report_thread_event(const event::Raw& raw) {
  if (process_level()) return;
  Owner owner;
  std::optional<process::Levels> levels;
  const bool namespaces = table_.kept().namespaces;
  if (table_.kept().owners && raw.what != KNELL_EVENT_LOST) {
    owner.uid = table_.uid_of(raw.pid, raw.stamp_ns);
    if (namespaces && !table_.numbers_of(raw.tid, raw.stamp_ns).known) {
      births_read_ns_ = std::min(births_read_ns_, raw.stamp_ns);
      const bool ran = has_run(raw);  // computed before read_births()
      if (read_births(raw.stamp_ns) && ran) table_.settle_initial_namespace(raw.tid, raw.stamp_ns);
    }
    if (namespaces) {
      levels = process::levels_of(raw, table_);
      owner.levels = levels->of();
      owner.levels_known = levels->known;
    }
  }
  out_.sink().on_thread_event(raw, owner);
}

// ----------------------------------------------------------------------------------------- events

size_t Assembler::probe_exits() {
  const uint64_t now = out_.clock().monotonic_ns();
  const size_t dead = exits_.probe_exits(out_.batch().room(), now);
  if (dead > 0) exits_.set_death_time(out_.clock().monotonic_ns());
  return dead;
}

void Assembler::on_raw(const event::Raw& raw) {
  // (The stamp of a hole is the time when the reader detected it; earlier events may still be
  // unread.)
  if (raw.what != KNELL_EVENT_LOST) set_read_until(raw.stamp_ns);
  if (raw.what == KNELL_EVENT_NONE) return;  // the kernel's ack of a request
  if (raw.what == KNELL_EVENT_FORK) {
    begin_process(raw);
    (void)read_births(raw.stamp_ns);
    table_.on_fork(raw);
  }
  if (raw.what == KNELL_EVENT_LOST) table_.on_lost(raw.u.lost.types);
  // These changes apply to the event itself: it has the new user, and no terminal after setsid(2).
  constexpr uint32_t kBefore = KNELL_EVENT_UID | KNELL_EVENT_GID | KNELL_EVENT_SID;
  if ((raw.what & kBefore) != 0) table_.on_change(raw);
  report_thread_event(raw);
  switch (raw.what) {
    case KNELL_EVENT_FORK:
      return on_fork(raw);
    case KNELL_EVENT_EXEC:
      return on_exec(raw);
    case KNELL_EVENT_EXIT:
      return on_exit(raw);
    case KNELL_EVENT_LOST:
      return on_lost(raw);
    default:
      return on_change(raw);
  }
}

// An older process with this pid has certainly ended. Exception: a listener added this process
// while its fork event was still queued.
void Assembler::begin_process(const event::Raw& fork) {
  if (fork.tid != fork.pid) return;
  const Dying* dying = exits_.find(fork.pid);
  if (dying != nullptr && dying->followed_ns >= fork.stamp_ns) return;
  if (dying != nullptr) end_of_one(fork.pid, *dying, ExitTracker::status_from_exits(*dying));
  exits_.forget(fork.pid);
  if (lifetimes_)
    out_.sink().on_process_begun(fork.pid, out_.time().ticks(fork.stamp_ns), /*exact=*/false);
}

void Assembler::on_fork(const event::Raw& raw) {
  const int32_t parent = raw.u.fork.parent_pid;
  const bool thread = raw.tid != raw.pid;
  if (thread && process_level()) return;
  Slot* slot = begin(KNELL_EVENT_FORK, parent, raw.u.fork.parent_tid, raw.stamp_ns);
  if (slot == nullptr) return;
  table_.describe(*slot, parent, process::ProcessTable::ReadProc::kNo);
  slot->event.child_pid = raw.pid;
  slot->event.child_tid = raw.tid;
  slot->event.child_id =
      has_details() ? table_.id_of(raw.pid, raw.stamp_ns) : table_.stamp_id(raw.pid, raw.stamp_ns);
  commit(*slot);
}

void Assembler::on_exec(const event::Raw& raw) {
  // An exec by another thread kills the leader and takes its place: the EXIT of the leader was not
  // the end of the process.
  if (const Dying* dying = exits_.find(raw.pid);
      dying != nullptr && dying->last_ns <= raw.stamp_ns && dying->followed_ns <= raw.stamp_ns)
    exits_.forget(raw.pid);
  table_.on_single_thread(raw.pid);
  // The details stored at its previous exec were read after this exec: they may be of either
  // program.
  const process::Task* before = table_.at(raw.pid, raw.stamp_ns);
  if (before != nullptr && before->read_ns > raw.stamp_ns) forget_program(*before);
  table_.on_exec(raw);
  Slot* slot = begin(KNELL_EVENT_EXEC, raw.pid, raw.tid, raw.stamp_ns);
  if (slot == nullptr) return;
  table_.describe(*slot, raw.pid, process::ProcessTable::ReadProc::kNo);
  commit(*slot);
}

// Removes the program's details from the events of this batch that have them.
void Assembler::forget_program(const process::Task& task) {
  for (size_t i = 0; i < out_.batch().size(); ++i) {
    Slot& slot = out_.batch()[i];
    if (slot.event.pid != task.pid || slot.image != task.image || slot.comm != task.comm) continue;
    slot.event.comm = slot.event.args = slot.event.exe = slot.event.cwd = {nullptr, 0};
    slot.event.flags &= ~KNELL_FLAG_ARGS_TRUNCATED;
  }
}

// Handles uid, gid, sid, ptrace, comm and coredump events: the process is still alive.
void Assembler::on_change(const event::Raw& raw) {
  const bool leader = raw.tid == raw.pid;
  // A crash concerns the process, independent of the thread. Other events concern the process only
  // if they are events of its leader.
  const bool of_process = leader || raw.what == KNELL_EVENT_COREDUMP;
  Slot* slot =
      of_process || !process_level() ? begin(raw.what, raw.pid, raw.tid, raw.stamp_ns) : nullptr;
  if (slot != nullptr) {
    knell_event& event = slot->event;
    table_.describe(*slot, raw.pid, process::ProcessTable::ReadProc::kIdentity);
    if (raw.what == KNELL_EVENT_UID || raw.what == KNELL_EVENT_GID) {
      fill_ids(*slot, raw);
    } else if (raw.what == KNELL_EVENT_PTRACE) {
      event.tracer_pid = raw.u.ptrace.tracer_pid;
    } else if (raw.what == KNELL_EVENT_COREDUMP && event.ppid == 0) {
      event.ppid = raw.u.coredump.parent_pid;
    } else if (raw.what == KNELL_EVENT_COMM) {
      std::memcpy(slot->new_comm.data(), raw.u.comm.name, slot->new_comm.size());
      event.new_comm = event::known_view_of(slot->new_comm);
    }
    commit(*slot);
  }
  if (raw.what == KNELL_EVENT_COREDUMP) exits_.crashed(raw.pid, raw.tid);
  // Called after the event with the old name was made.
  if (raw.what == KNELL_EVENT_COMM) table_.on_change(raw);
}

// Each thread has its own ids: the ids of the leader count as the ids of the process.
void Assembler::fill_ids(Slot& slot, const event::Raw& raw) {
  knell_event& event = slot.event;
  const bool uid = raw.what == KNELL_EVENT_UID;
  (uid ? event.ruid : event.rgid) = raw.u.id.real;
  (uid ? event.euid : event.egid) = raw.u.id.effective;
  if (!has_details()) return;
  if (uid) {
    event.has |= KNELL_HAS_UID;
    event.uid = raw.u.id.real;
    const auto& user = table_.users().find(event.uid);
    slot.user = user;
    event.user = user != nullptr ? event::view_of(*user) : knell_string{nullptr, 0};
  } else {
    event.has |= KNELL_HAS_GID;
    event.gid = raw.u.id.real;
  }
}

void Assembler::on_exit(const event::Raw& raw) {
  const bool leader = raw.tid == raw.pid;
  const End thread_end{raw.pid,           raw.tid,
                       raw.stamp_ns,      static_cast<int32_t>(raw.u.exit.code),
                       raw.u.exit.signal, leader ? raw.u.exit.parent_pid : 0};
  if (!process_level())
    if (Slot* slot = out_.reserve_exit()) {
      fill_exit(*slot, thread_end);
      commit(*slot);
    }
  if (!leader) table_.on_thread_exit(raw);
  const uint32_t others = table_.other_threads(raw.pid);
  if (leader && others == 0 && !exits_.knows(raw.pid))
    return end(thread_end, process_level() ? out_.reserve_exit() : nullptr);
  Dying* dying = nullptr;
  if (exits_.note(raw, others, &dying) != ExitTracker::NoteResult::kNew) return;
  // The place of the exit event is that of the last EXIT. A slot reserved by an earlier EXIT stays
  // unfilled and is skipped.
  dying->slot = process_level() ? out_.reserve_exit() : nullptr;
}

void Assembler::finish() {
  const auto room = [&] {
    return !process_level() || !out_.wants(kAnyExit) || out_.batch().room() > 0;
  };
  exits_.finish(read_until_ns_, room, [&](const ExitTracker::Ended& ended) {
    end_of_one(ended.pid, ended.dying, ended.status);
  });
  // Entries that changed during the hole would make later events wrong. Reading /proc again takes
  // time, so it is done at most once in kLookNs, independent of the number of holes.
  const uint64_t now = hole_ ? out_.clock().monotonic_ns() : 0;
  if (hole_ && now >= looked_ns_ + kLookNs) {
    hole_ = false;
    looked_ns_ = now;
    table_.read_again();
    reading_again_ = true;
  }
  if (!reading_again_) return;
  ScanBudget piece{.left = kReadAgain};
  reading_again_ = !scan_some(piece) || !scan_under_roots(piece);
}

void Assembler::end_of_one(int32_t pid, const Dying& dying, std::optional<int32_t> status) {
  Slot* slot = dying.slot;
  if (slot == nullptr && process_level() && out_.batch().room() > 0) slot = out_.reserve_exit();
  const bool now = dying.ended_now || dying.last_ns == 0;
  end(End{.pid = pid,
          .tid = pid,
          .stamp_ns = now ? out_.clock().monotonic_ns() : dying.last_ns,
          .status = status,
          .signal = dying.signal,
          .parent = dying.parent,
          .followed = dying.followed_ns != 0},
      slot);
}

// The process has ended. `slot`: the reserved slot for its exit event; nullptr: not wanted.
void Assembler::end(const End& end, Slot* slot) {
  uint64_t start = 0;
  if (slot != nullptr) {
    fill_exit(*slot, end);
    add_owner(*slot);
    out_.commit_reserved(*slot, table_);
    if (slot->event.id.kind == KNELL_ID_START) start = slot->event.id.start;
  }
  if (end.missed != nullptr && !table_.has(end.pid, end.missed->start))
    return out_.sink().on_process_ended(end.pid, end.missed->start, {});
  // For listeners in other pid namespaces, which added the process by its pid there.
  std::array<event::NamespacePids, event::kMostLevels> levels;
  size_t count = 0;
  if (table_.kept().namespaces)
    for (const event::NamespacePid& number : table_.numbers_of(end.pid, end.stamp_ns).of)
      levels[count++] = {.ns = number.ns, .pid = number.nr};
  out_.sink().on_process_ended(end.pid, start, std::span(levels).first(count));
  table_.on_exit(end.pid, end.stamp_ns);
}

void Assembler::fill_exit(Slot& slot, const End& end) {
  out_.begin_exit(slot, KNELL_VIA_CONNECTOR, end.pid, end.tid, end.stamp_ns);
  knell_event& event = slot.event;
  if (end.status) {
    event.has |= KNELL_HAS_STATUS;
    event.wait_status = *end.status;
  }
  event.exit_signal = end.signal;
  if (end.missed != nullptr) return fill_missed(slot, *end.missed);
  table_.describe(slot, end.pid, process::ProcessTable::ReadProc::kYes);
  if (event.ppid == 0) event.ppid = end.parent;
  if (end.followed) note_late_details(event, table_.kept().details);
}

// ---------------------------------------------------------------------------------------- recovery

void Assembler::report_missed(const Missed& missed) {
  if (missed.type == KNELL_EVENT_EXIT) {
    exits_.forget(missed.pid);
    return end(End{.pid = missed.pid,
                   .tid = missed.pid,
                   .stamp_ns = missed.found_ns,
                   .status = missed.status,
                   .signal = 0,
                   .parent = 0,
                   .missed = &missed},
               out_.reserve_exit());
  }
  const bool fork = missed.type == KNELL_EVENT_FORK;
  const int32_t subject = fork ? missed.ppid : missed.pid;
  if (fork) {
    table_.read_one(missed.pid);
  } else {
    event::Raw exec;
    exec.what = KNELL_EVENT_EXEC;
    exec.stamp_ns = missed.found_ns;
    exec.pid = exec.tid = missed.pid;
    table_.on_exec(exec);
  }
  Slot* slot = begin(missed.type, subject, subject, missed.found_ns);
  if (slot == nullptr) return;
  table_.describe(*slot, subject, process::ProcessTable::ReadProc::kYes);
  if (fork) {
    slot->event.child_pid = slot->event.child_tid = missed.pid;
    slot->event.child_id = {out_.boot(), missed.pid, missed.start, KNELL_ID_START};
  }
  commit(*slot);
}

// An exit that was not received. The time of the end and the duration are unknown.
void Assembler::fill_missed(Slot& slot, const Missed& missed) {
  knell_event& event = slot.event;
  event.id = table_.stamp_id(missed.pid, missed.found_ns);
  if (table_.has(missed.pid, missed.start))
    table_.describe(slot, missed.pid, process::ProcessTable::ReadProc::kNo);
  if (missed.exact) event.id = {out_.boot(), missed.pid, missed.start, KNELL_ID_START};
  event.has &= ~uint64_t{KNELL_HAS_DURATION};
  event.duration_ns = 0;
}

// The kernel counts thread-level events, so at process level the count is not exact.
void Assembler::on_lost(const event::Raw& raw) {
  hole_ = true;
  out_.add_hole(raw, KNELL_VIA_CONNECTOR, !process_level());
}

void Assembler::sweep(size_t at_least) {
  table_.sweep(at_least, [&](int32_t pid) { return is_gone(pid); });
  exits_.sweep(at_least);
}

}  // namespace knell::source
