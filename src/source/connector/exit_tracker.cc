// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Decides when a process has ended, and with what status.
//
// The kernel reports the EXIT of each thread. The order of EXITs is not quite the order of deaths.
// An EXIT of the leader (thread id == process id) does not mean that the process has ended: the
// leader may exit first and a worker fail later, and a worker that calls exec takes over the
// leader's id after a false EXIT of the leader. With zero exits filtered out (the mask
// NONZERO_EXIT) the exit of a leader that left early is not received at all. So an EXIT is only a
// reason to probe the process:
//
//   note()         an EXIT was received. A slot is reserved at its place in the stream.
//   probe_exits()  at the end of the drain, each noted process is probed through a pidfd, which
//                  becomes readable when the last thread has exited. ESRCH: reaped, so it has
//                  ended. Readable: it has ended. Otherwise it is alive: the slot is given up, the
//                  pidfd is kept and watched, and the next EXIT, or the death of the process,
//                  causes another probe.
//   finish()       between probe_exits() and finish() the source is read once more: the connector
//                  sends a thread's EXIT a moment after the pidfd became readable, and the last
//                  EXIT of a crash may carry the core bit. The wait ends at a position in the
//                  stream, not at a point in time: a reader that was delayed must not give up
//                  events that it has not read yet.
//
// The status. All threads killed by exit_group() or a signal have the same code, and only the
// crashing thread has the core bit. Threads that exit one by one have codes of their own, and the
// last one's counts. If all codes agree, they are the status. If they do not, or the process was
// alive after an EXIT, the kernel is asked: PIDFD_GET_INFO after the process was reaped,
// /proc/PID/stat field 52 before. If it cannot be asked any more, the last code that is not 0 is
// reported, with the core bit if any thread had it: it is better to report one failure too many
// than to miss one. A thread that was born (ProcessTable::other_threads()) and whose EXIT has not
// been received is waited for, up to kLateNs, since its code may be the one that counts. If threads
// are not counted (their births or their zero exits are not received), another thread's EXIT may
// still come after any EXIT, so the kernel is asked whenever possible. With zero exits filtered
// out, a process that lived on for kLingerNs after its last EXIT ended with 0. One case cannot be
// detected: zero exits filtered out, a raw SYS_exit(5) of one thread and then exit_group(0) of
// another, both before the probe.
//
// An EXIT may still arrive after the end of its process was reported. It is recognised by its
// stamp: within kLateNs of the end, and not a second EXIT of the leader, which only another process
// with the same pid could send. A pid is used again only after all other pids were used, so that
// other process cannot come sooner than one whole round of pids takes (measured: 330 ms for 32768
// of them).
#include "source/connector/exit_tracker.h"

#include <csignal>

namespace knell::source {
namespace {

// A third of the shortest time in which all pids are reused, see above
constexpr uint64_t kLateNs = 100'000'000;
constexpr size_t kMostCrashing =
    4096;  // chosen, not measured: bounds the crashes whose EXIT was lost
// How long a thread that exits by itself can still exist after exit_group() of another thread. So a
// process counts as alive after an EXIT only if it lived longer than this.
constexpr uint64_t kLingerNs =
    1'000'000'000;                  // chosen, not measured: many times the longest delay seen
constexpr uint32_t kCore = 0x80;    // WCOREFLAG
constexpr uint32_t kSignal = 0x7f;  // WTERMSIG

// Whether `code` is a death by a signal that writes a core where that is allowed.
bool dies_with_core(uint32_t code) {
  switch (code) {
    case SIGQUIT:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGSYS:
      return true;
    default:
      return false;
  }
}

}  // namespace

ExitTracker::NoteResult ExitTracker::note(const event::Raw& exit, uint32_t others,
                                          Dying** ret_dying) {
  const bool leader = exit.tid == exit.pid;
  if (const Late* late = late_.find(exit.pid)) {
    if (exit.stamp_ns <= late->until_ns && !(leader && late->leader)) return NoteResult::kLate;
    late_.erase(exit.pid);
  }
  // If zero exits are received, the leader's EXIT always comes, so a worker's EXIT alone can wait
  // for it, unless its code is not 0.
  Dying* known = dying_.find(exit.pid);
  if (known == nullptr && !leader && !zeros_filtered_ && exit.u.exit.code == 0)
    return NoteResult::kNotYet;
  if (known == nullptr) known = dying_.emplace(exit.pid).first;
  Dying& dying = *known;
  // The first EXIT of the leader was caused by the exec of another thread, which took its place as
  // the only thread.
  if (leader && dying.leader) {
    others = 0;
    dying.code = 0;
    dying.mixed = false;
  } else if (dying.first_ns != 0) {
    dying.mixed |= ((dying.code ^ exit.u.exit.code) & ~kCore) != 0;
  }
  if (dying.first_ns == 0) dying.first_ns = exit.stamp_ns;
  dying.last_ns = exit.stamp_ns;
  // EXITs do not come in the order of deaths. If the kernel cannot be asked, a failure is reported
  // rather than a success whose EXIT came later, since a missed failure is the worse error.
  if (exit.u.exit.code != 0 || dying.code == 0) dying.code = exit.u.exit.code;
  dying.zero_after = dying.ended_now = false;
  dying.core |= (exit.u.exit.code & kCore) != 0;
  dying.leader |= leader;
  dying.threads |= !leader;
  dying.exits_pending = zeros_filtered_ ? 0 : others;
  if (leader) {
    dying.signal = exit.u.exit.signal;
    dying.parent = exit.u.exit.parent_pid;
  }
  const int32_t* crashing = crashing_.find(exit.pid);
  if (crashing != nullptr && *crashing == exit.tid) crashing_.erase(exit.pid);
  *ret_dying = &dying;
  if (!dying.leader && !zeros_filtered_) return NoteResult::kNotYet;
  note_again(exit.pid, dying);
  return NoteResult::kNew;
}

void ExitTracker::crashed(int32_t pid, int32_t tid) {
  if (crashing_.size() >= kMostCrashing) crashing_.clear();
  *crashing_.emplace(pid).first = tid;
}

// Only the EXIT of the crashed thread says whether a core was written. It may be sent a moment
// after the process has ended and was reaped. Its arrival wakes the reader.
bool ExitTracker::awaits_more_exits(int32_t pid, const Dying& dying, uint64_t read_until_ns) {
  if (read_until_ns >= dying.dead_ns + kLateNs) return false;
  if (may_have_executed(dying) && (exit_is_due(dying) || read_until_ns < dying.dead_ns))
    return true;
  // It seems to have ended with 0 after a thread failed, and the kernel cannot be asked: a failing
  // EXIT may still come.
  if (dying.zero_after) return !probe_.status(pid, dying.pidfd);
  if (threads_pending(dying)) return !probe_.status(pid, dying.pidfd);
  return crashing_.find(pid) != nullptr && !dying.core && dies_with_core(dying.code);
}

// A late reader can find the process dead at the EXIT of its leader although another thread called
// exec and lived on: that EXEC is still queued, and the EXIT of the process is queued or will be
// sent in a moment. (A leader that is ended by an exec was not killed by a signal.)
bool ExitTracker::may_have_executed(const Dying& dying) {
  return dying.leader && dying.exits_pending != 0 &&
         dying.exits_pending != process::ProcessTable::kUnknown && (dying.code & kSignal) == 0;
}

// Without EXEC events only the next EXIT shows whether another thread called exec: it is that of
// the other thread, or the second one of the leader. If the threads were counted, it will come. (If
// the process was alive after the first one, the second one is recognised as late.)
bool ExitTracker::exit_is_due(const Dying& dying) const {
  return !execs_received_ && !dying.ended_now &&
         dying.exits_pending != process::ProcessTable::kUncounted;
}

// The process has ended, but the EXIT of one of its threads has not been received: the thread may
// be preempted between its death and its EXIT. A signal kills all threads with the same code. If
// the threads were not counted, some may be missing at any time: then a failure is reported at
// once, and only a success has to wait.
bool ExitTracker::threads_pending(const Dying& dying) {
  if (dying.exits_pending == 0 || dying.exits_pending == process::ProcessTable::kUnknown)
    return false;
  if ((dying.code & kSignal) != 0) return false;
  return dying.exits_pending != process::ProcessTable::kUncounted || dying.code == 0;
}

// Whether there may be a thread whose birth and EXIT were both not received. All threads killed by
// a signal have the same code.
bool ExitTracker::threads_uncounted(const Dying& dying) const {
  if ((dying.code & kSignal) != 0) return false;
  return zeros_filtered_ || dying.exits_pending == process::ProcessTable::kUnknown;
}

void ExitTracker::note_again(int32_t pid, Dying& dying) {
  if (dying.needs_probe) return;
  dying.needs_probe = true;
  noted_.push_back(pid);
}

size_t ExitTracker::probe_exits(size_t most, uint64_t now_ns) {
  size_t dead = 0;
  std::vector<int32_t> now;
  now.swap(noted_);
  for (const int32_t pid : now) {
    Dying* dying = dying_.find(pid);
    if (dying == nullptr || !dying->needs_probe || dying->dead) continue;
    if (dying->slot == nullptr && most == 0) {
      noted_.push_back(pid);
      continue;
    }
    if (dying->slot == nullptr) --most;
    dying->needs_probe = false;
    if (examine(pid, *dying, now_ns)) ++dead;
  }
  return dead;
}

bool ExitTracker::examine(int32_t pid, Dying& dying, uint64_t now_ns) {
  switch (probe_.probe(pid, dying.first_ns, dying.pidfd)) {
    case ProcessProbe::Sign::kGone:
    case ProcessProbe::Sign::kDead:
      dying.ended_now = dying.first_ns == 0 || (dying.outlived && dying.slot == nullptr);
      dying.zero_after = dying.ended_now && dying.outlived && zeros_filtered_ &&
                         now_ns > dying.last_ns + kLingerNs;
      dying.dead = true;
      dead_.push_back(pid);
      return true;
    case ProcessProbe::Sign::kAlive:
      dying.outlived = true;
      dying.slot = nullptr;
      keep_watching(pid, dying);
      return false;
    case ProcessProbe::Sign::kUnsure:
      dying.slot = nullptr;
      return false;
  }
  return false;
}

void ExitTracker::keep_watching(int32_t pid, Dying& dying) {
  if (!dying.watched && watched_ < most_watched_ && dying.pidfd &&
      probe_.watch(pid, dying.pidfd.get())) {
    dying.watched = true;
    ++watched_;
  }
  if (!dying.watched) dying.pidfd.reset();  // sweep() polls it
}

void ExitTracker::drop(int32_t pid) {
  const Dying* dying = dying_.find(pid);
  if (dying == nullptr) return;
  if (dying->watched) --watched_;
  dying_.erase(pid);
}

int32_t ExitTracker::status_from_exits(const Dying& dying) {
  return static_cast<int32_t>(dying.code | (dying.core ? kCore : 0));
}

// /proc shows the status of a zombie without the core bit that its parent will see.
int32_t ExitTracker::with_core(int32_t status, const Dying& dying) {
  return dying.core && dies_with_core(static_cast<uint32_t>(status) & ~kCore)
             ? status | static_cast<int32_t>(kCore)
             : status;
}

std::optional<int32_t> ExitTracker::status_of(int32_t pid, const Dying& dying) {
  const bool agree = !dying.mixed && !dying.outlived && dying.first_ns != 0;
  // Only the EXIT of the crashed thread has the core bit, and it may come after the probe.
  const bool core_unknown = !dying.core && dies_with_core(dying.code);
  if (agree && !core_unknown && !threads_pending(dying) && !threads_uncounted(dying) &&
      (dying.leader || !dying.pidfd))
    return status_from_exits(dying);
  if (const auto known = probe_.status(pid, dying.pidfd)) return with_core(*known, dying);
  if (dying.zero_after) return 0;
  if (dying.first_ns == 0) return std::nullopt;
  return status_from_exits(dying);
}

void ExitTracker::move_to_late(int32_t pid, const Dying& dying) {
  if (dying.first_ns != 0) {
    // If the process was found dead by its pidfd, its own EXIT is still to come. An EXIT of the
    // leader that the process outlived was not its end, but the false EXIT at a worker's exec, or
    // the leader's own.
    const uint64_t until = (dying.ended_now ? dying.dead_ns : dying.last_ns) + kLateNs;
    while (!late_order_.empty() && late_order_.front().second < dying.last_ns) {
      const auto [old, old_until] = late_order_.front();
      late_order_.pop_front();
      if (const Late* late = late_.find(old); late != nullptr && late->until_ns == old_until)
        late_.erase(old);
    }
    *late_.emplace(pid).first = Late{until, dying.leader && !dying.ended_now};
    late_order_.emplace_back(pid, until);
  }
  crashing_.erase(pid);
  drop(pid);
}

void ExitTracker::set_death_time(uint64_t now_ns) {
  for (const int32_t pid : dead_) {
    Dying* dying = dying_.find(pid);
    if (dying != nullptr && dying->dead_ns == 0) dying->dead_ns = now_ns;
  }
}

uint64_t ExitTracker::due_ns() const {
  if (dead_.empty()) return 0;
  const Dying* dying = dying_.find(dead_.front());
  return dying != nullptr ? dying->dead_ns + kLateNs : 1;
}

void ExitTracker::on_pidfd_readable(int32_t pid) {
  if (Dying* dying = dying_.find(pid)) note_again(pid, *dying);
}

void ExitTracker::follow(int32_t pid, UniqueFd pidfd, uint64_t now_ns) {
  const auto [dying, made] = dying_.emplace(pid);
  dying->followed_ns = now_ns;
  if (!made) return;
  dying->pidfd = std::move(pidfd);
  note_again(pid, *dying);
}

void ExitTracker::sweep(size_t count) {
  dying_.sweep(count, [&](int32_t pid, Dying& dying) {
    if (!dying.pidfd) note_again(pid, dying);
    return false;
  });
}

}  // namespace knell::source
