// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// When is a process over, and with what status?
//
// The kernel tells of each thread's EXIT, in an order that is not quite the order of deaths, and an
// EXIT of the leader (thread id == process id) is no sign of the process's end: the leader may
// leave first and a worker fail later, and a worker that calls exec takes over the leader's id
// after a false death of it. With zero exits filtered out (the mask NONZERO_EXIT) a leader that
// left early is not even heard of. So an EXIT only makes us look:
//
//   note()    an EXIT came. A slot in the stream is kept at its place.
//   judge()   at the end of the drain, each noted process is probed for a probe, through a pidfd,
//   which becomes readable
//             when the last thread is gone. ESRCH: reaped, so over. Readable: over. Else it lives
//             on: the slot is given up, the pidfd is kept and watched, and the next EXIT, or its
//             death, makes us look again.
//   finish()  between judge() and finish() the source is read once more: the connector sends a
//   thread's EXIT a moment
//             after the pidfd became readable, and the last words of a crash may carry the core
//             bit. What is waited for is waited for in the stream, not in time: a reader that is
//             kept from its work for long must not give up what it has not read yet.
//
// The status. All threads killed by exit_group() or a signal carry the same code, and only the
// crashing one the core bit; threads that left one by one carry their own, and the last one's
// counts. Where all codes agree they are the answer. Where they do not, or the process outlived an
// EXIT, the kernel is asked: PIDFD_GET_INFO after the reap, /proc/PID/stat field 52 before it.
// Where it cannot be asked any more, the last code that is not 0 is told, with the core bit if any
// thread had it: better one failure too many. A thread that was born (threads.h) and has not told
// its code yet is waited for, up to kLateNs, since its code may be the one that counts. Where
// threads are not counted (their births or their zero exits are not received), another thread's
// EXIT may still be to come after any EXIT, so the kernel is asked whenever it can be. With zero
// exits filtered out, a process that lived on for kLingerNs after its last EXIT ended with 0. One
// case cannot be seen: zero exits filtered out, one thread's raw SYS_exit(5) and then exit_group(0)
// of another, both before we could look.
//
// An EXIT may still come after its process was told to be over. It is recognised by its stamp:
// within kLateNs of the end, and not a second EXIT of the leader, which only another process with
// the same pid could send. Pids go round, so that other process cannot come sooner than a whole
// round of pids takes (measured: 330 ms for 32768 of them).
#include "watch/exit_tracker.h"

#include <csignal>

namespace knell::watch {
namespace {

constexpr uint64_t kLateNs = 100'000'000;  // see above: a third of the quickest round of pids
constexpr size_t kMostCrashing = 4096;     // picked: crashes whose EXIT got lost are forgotten
// A thread that was on its way out by itself may linger this long after exit_group() of another:
// only what lived on for longer lived on.
constexpr uint64_t kLingerNs = 1'000'000'000;  // picked: many times what was ever seen
constexpr uint32_t kCore = 0x80;               // WCOREFLAG
constexpr uint32_t kSignal = 0x7f;             // WTERMSIG

// Whether it is the end by a signal that writes a core where that is allowed.
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

ExitTracker::Note ExitTracker::note(const event::Raw& exit, uint32_t others, Dying** ret_dying) {
  const bool leader = exit.tid == exit.pid;
  if (const Late* late = late_.find(exit.pid)) {
    if (exit.stamp_ns <= late->until_ns && !(leader && late->leader)) return Note::kLate;
    late_.erase(exit.pid);
  }
  // While zero exits come, the leader's always does, so a worker alone can wait for it, unless it
  // brings news.
  Dying* known = dying_.find(exit.pid);
  if (known == nullptr && !leader && !zeros_filtered_ && exit.u.exit.code == 0)
    return Note::kUnimportant;
  if (known == nullptr) known = dying_.emplace(exit.pid).first;
  Dying& dying = *known;
  if (dying.first_ns == 0)
    dying.first_ns = exit.stamp_ns;
  else
    dying.mixed |= ((dying.code ^ exit.u.exit.code) & ~kCore) != 0;
  dying.last_ns = exit.stamp_ns;
  // The order of EXITs is not that of deaths: where the kernel cannot be asked, a failure is told
  // rather than the success of a thread that was heard of later. Better one too many.
  if (exit.u.exit.code != 0 || dying.code == 0) dying.code = exit.u.exit.code;
  dying.zero_after = dying.ended_now = false;
  dying.core |= (exit.u.exit.code & kCore) != 0;
  dying.leader |= leader;
  dying.threads |= !leader;
  dying.unheard = zeros_filtered_ ? 0 : others;
  if (leader) {
    dying.signal = exit.u.exit.signal;
    dying.parent = exit.u.exit.parent_pid;
  }
  const int32_t* crashing = crashing_.find(exit.pid);
  if (crashing != nullptr && *crashing == exit.tid) crashing_.erase(exit.pid);
  *ret_dying = &dying;
  if (!dying.leader && !zeros_filtered_) return Note::kUnimportant;
  note_again(exit.pid, dying);
  return Note::kNew;
}

void ExitTracker::crashed(int32_t pid, int32_t tid) {
  if (crashing_.size() >= kMostCrashing) crashing_.clear();
  *crashing_.emplace(pid).first = tid;
}

// Only the EXIT of the thread that crashed says whether a core was written, and it may be sent a
// moment after the process is over and reaped. It wakes us when it comes.
bool ExitTracker::awaits_more_exits(int32_t pid, const Dying& dying, uint64_t heard_ns) {
  if (heard_ns < dying.dead_ns && may_have_executed(dying)) return true;
  if (heard_ns >= dying.dead_ns + kLateNs) return false;
  // It seems to have ended well after a thread failed, on a kernel that cannot be asked: a failing
  // EXIT may still come.
  if (dying.zero_after) return !probe_.status(pid, dying.pidfd);
  if (threads_unheard(dying)) return !probe_.status(pid, dying.pidfd);
  return crashing_.find(pid) != nullptr && !dying.core && dies_with_core(dying.code);
}

// A reader that is late finds it dead at the EXIT of its leader, although a thread that lived on
// has exec'ed: that EXEC is queued still, and the EXIT of the process behind it. (The leader that
// an exec ends was not killed by a signal.)
bool ExitTracker::may_have_executed(const Dying& dying) {
  return dying.leader && dying.unheard != 0 && dying.unheard != Threads::kUnknown &&
         (dying.code & kSignal) == 0;
}

// It is over, but a thread of it has not told its code yet: it may be preempted between its death
// and its EXIT. A signal kills all with the same code. Of threads that nobody counted some may be
// missing at any time: then a failure is told as it is, and only a success has to wait.
bool ExitTracker::threads_unheard(const Dying& dying) {
  if (dying.unheard == 0 || dying.unheard == Threads::kUnknown) return false;
  if ((dying.code & kSignal) != 0) return false;
  return dying.unheard != Threads::kUncounted || dying.code == 0;
}

// Whether a thread may exist of which neither the birth nor the EXIT was received. All threads
// killed by a signal have the same code.
bool ExitTracker::threads_uncounted(const Dying& dying) const {
  if ((dying.code & kSignal) != 0) return false;
  return zeros_filtered_ || dying.unheard == Threads::kUnknown;
}

void ExitTracker::note_again(int32_t pid, Dying& dying) {
  if (dying.noted) return;
  dying.noted = true;
  noted_.push_back(pid);
}

size_t ExitTracker::judge(size_t most, uint64_t now_ns) {
  size_t dead = 0;
  std::vector<int32_t> now;
  now.swap(noted_);
  for (const int32_t pid : now) {
    Dying* dying = dying_.find(pid);
    if (dying == nullptr || !dying->noted || dying->dead) continue;
    if (dying->slot == nullptr && most == 0) {
      noted_.push_back(pid);
      continue;
    }
    if (dying->slot == nullptr) --most;
    dying->noted = false;
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
  if (!dying.watched) dying.pidfd.reset();  // the sweep looks at it
}

void ExitTracker::drop(int32_t pid) {
  const Dying* dying = dying_.find(pid);
  if (dying == nullptr) return;
  if (dying->watched) --watched_;
  dying_.erase(pid);
}

int32_t ExitTracker::told_status(const Dying& dying) {
  return static_cast<int32_t>(dying.code | (dying.core ? kCore : 0));
}

// /proc shows the status of a zombie without the core bit its parent will see.
int32_t ExitTracker::with_core(int32_t status, const Dying& dying) {
  return dying.core && dies_with_core(static_cast<uint32_t>(status) & ~kCore)
             ? status | static_cast<int32_t>(kCore)
             : status;
}

std::optional<int32_t> ExitTracker::status_of(int32_t pid, const Dying& dying) {
  const bool agree = !dying.mixed && !dying.outlived && dying.first_ns != 0;
  // The crashing thread alone tells of a core, and its EXIT may come after we looked.
  const bool core_in_doubt = !dying.core && dies_with_core(dying.code);
  if (agree && !core_in_doubt && !threads_unheard(dying) && !threads_uncounted(dying) &&
      (dying.leader || !dying.pidfd))
    return told_status(dying);
  if (const auto known = probe_.status(pid, dying.pidfd)) return with_core(*known, dying);
  if (dying.zero_after) return 0;
  if (dying.first_ns == 0) return std::nullopt;
  return told_status(dying);
}

void ExitTracker::move_to_late(int32_t pid, const Dying& dying) {
  if (dying.first_ns != 0) {
    // Found dead by its pidfd: its own EXIT is still to come, and an EXIT of the leader that it
    // outlived was not that, but the false death at a worker's exec, or the leader's alone.
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

void ExitTracker::date(uint64_t now_ns) {
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

void ExitTracker::woken(int32_t pid) {
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

}  // namespace knell::watch
