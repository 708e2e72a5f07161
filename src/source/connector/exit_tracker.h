// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/pid_map.h"
#include "base/unique_fd.h"
#include "event/batch.h"
#include "event/raw.h"
#include "process/process_table.h"

namespace knell::source {

// Asks the kernel about a process that may be dying. A seam: tests use a fake.
class ProcessProbe {
 public:
  virtual ~ProcessProbe() = default;
  enum class Sign {
    kGone,  // reaped, or it never existed
    kDead,  // all its threads are dead, not reaped yet
    kAlive,
    kUnsure  // unknown (no descriptors left): try again
  };
  // Uses `pidfd` if it is open; leaves it open when the result is kAlive. A pid that now belongs to
  // a process that began after `before_ns` (CLOCK_MONOTONIC) counts as kGone.
  virtual Sign probe(int32_t pid, uint64_t before_ns, UniqueFd& pidfd) = 0;
  // The status that wait(2) reports, for a process found kGone or kDead; nullopt: unknown.
  virtual std::optional<int32_t> status(int32_t pid, const UniqueFd& pidfd) = 0;
  // Arranges that ExitTracker::on_pidfd_readable(pid) is called when the process dies. False: not
  // possible.
  virtual bool watch(int32_t pid, int pidfd) = 0;
  // Whether a process with this pid exists, dead or alive; a quick check of the pid alone.
  virtual bool exists(int32_t pid) = 0;
};

// A process of which at least one thread has exited.
struct Dying {
  uint64_t first_ns = 0, last_ns = 0;  // stamps of its first and last EXIT
  uint64_t followed_ns = 0;  // when a listener named it by its pid (follow()); 0: none did
  uint32_t code = 0;         // exit code of its last EXIT
  uint32_t signal = 0;
  // Number of threads whose EXIT is still to come, or one of ProcessTable::k*
  uint32_t exits_pending = 0;
  int32_t parent = 0;           // pid of the parent, as in the leader's EXIT; 0: unknown
  event::Slot* slot = nullptr;  // reserved at the place of its last EXIT in the stream
  UniqueFd pidfd;               // open while the process is still alive
  bool needs_probe = false;     // probe_exits() has to probe it
  bool dead = false;            // probe_exits() found that the process has ended
  bool leader = false;          // the leader's EXIT was received
  bool threads = false;         // an EXIT of another thread was received
  bool mixed = false;           // its EXITs have different codes
  bool core = false;            // an EXIT of one of its threads had the core bit
  bool outlived = false;        // a probe found it alive after an EXIT
  bool watched = false;         // ExitTracker::on_pidfd_readable() will be called
  uint64_t dead_ns = 0;         // when it was first found dead
  bool ended_now = false;       // it lived on after its last EXIT: its end time is unknown, so the
                                // current time is used
  bool zero_after =
      false;  // it ended without another EXIT; zero EXITs are filtered out, so its status is 0
};

// Decides from the EXITs of its threads when a process has ended, and with what status; see
// exit_tracker.cc. Not thread-safe.
class ExitTracker {
 public:
  struct Ended {
    int32_t pid;
    Dying& dying;
    std::optional<int32_t> status;
  };

  // `most_watched`: the number of descriptors that may be held; sweep() polls processes beyond it.
  ExitTracker(ProcessProbe& probe, size_t most_watched)
      : probe_(probe), most_watched_(most_watched) {}
  // The types of events that the source reports. Without EXIT it reports no EXITs with code 0.
  void set_reported_types(uint32_t types) {
    zeros_filtered_ = (types & KNELL_EVENT_EXIT) == 0;
    execs_received_ = (types & KNELL_EVENT_EXEC) != 0;
  }

  enum class NoteResult {
    kNew,    // the caller reserves a slot for it: dying->slot
    kLate,   // an EXIT of a process whose end was already reported
    kNotYet  // a thread; the EXIT of its leader is still to come
  };
  // Handles an EXIT. The caller need not pass an EXIT of a leader whose process has no other
  // threads: it is the end of the process.
  // `others`: the number of threads beside the leader that have not exited yet, from Table.
  NoteResult note(const event::Raw& exit, uint32_t others, Dying** ret_dying);

  // Whether an EXIT of the process was noted, or may still come after its end was reported.
  bool knows(int32_t pid) const {
    return dying_.find(pid) != nullptr || late_.find(pid) != nullptr;
  }
  Dying* find(int32_t pid) { return dying_.find(pid); }
  // Its end was reported, or it is alive after all (it called exec). The next EXIT with this pid
  // starts a new entry.
  void forget(int32_t pid) {
    drop(pid);
    late_.erase(pid);
    crashing_.erase(pid);
  }

  // This thread got a signal that writes a core; its EXIT is still to come.
  void crashed(int32_t pid, int32_t tid);

  // Probes the noted processes, at most `most` of those without a slot; the others wait for the
  // next call. Returns the number found dead: read the source once more for their last EXITs, then
  // call finish().
  size_t probe_exits(size_t most, uint64_t now_ns);
  // Sets the time of death of the processes that the last probe_exits() found dead.
  void set_death_time(uint64_t now_ns);
  // Passes each process found dead to `on_ended(Ended)`, while room() is true for those without a
  // slot. All events sent before `read_until_ns` have been noted. `on_ended` must not call this
  // object.
  template <class Room, class F>
  void finish(uint64_t read_until_ns, Room room, F on_ended) {
    std::vector<int32_t> dead;
    dead.swap(dead_);
    for (const int32_t pid : dead) {
      Dying* dying = dying_.find(pid);
      if (dying == nullptr || !dying->dead) continue;
      if (awaits_more_exits(pid, *dying, read_until_ns)) {
        dying->slot = nullptr;
        dead_.push_back(pid);
        continue;
      }
      if (dying->slot == nullptr && !room()) {
        dead_.push_back(pid);
        continue;
      }
      on_ended(Ended{pid, *dying, status_of(pid, *dying)});
      move_to_late(pid, *dying);
    }
  }
  // The status according to its EXITs alone.
  static int32_t status_from_exits(const Dying& dying);
  // When finish() has to be called again for processes that wait for more EXITs; 0: none waits.
  uint64_t due_ns() const;
  bool has_noted() const { return !noted_.empty(); }
  // Gives up the reserved slots of the noted processes: the batch is about to be cleared. Their
  // exits get a slot when they are reported.
  void drop_slots() {
    for (const int32_t pid : noted_)
      if (Dying* dying = dying_.find(pid)) dying->slot = nullptr;
  }

  // A watched process has died.
  void on_pidfd_readable(int32_t pid);
  // Tracks a process that a listener named by pid; it may be dead already.
  void follow(int32_t pid, UniqueFd pidfd, uint64_t now_ns);
  // Probes again those of the next `count` processes that have no open pidfd: their probe failed,
  // or they are not watched.
  void sweep(size_t count);
  size_t size() const { return dying_.size(); }

 private:
  static bool threads_pending(const Dying& dying);
  bool threads_uncounted(const Dying& dying) const;
  static bool may_have_executed(const Dying& dying);
  bool exit_is_due(const Dying& dying) const;
  bool awaits_more_exits(int32_t pid, const Dying& dying, uint64_t read_until_ns);
  static int32_t with_core(int32_t status, const Dying& dying);
  std::optional<int32_t> status_of(int32_t pid, const Dying& dying);
  void move_to_late(int32_t pid, const Dying& dying);
  void note_again(int32_t pid, Dying& dying);
  bool examine(int32_t pid, Dying& dying, uint64_t now_ns);
  void keep_watching(int32_t pid, Dying& dying);
  void drop(int32_t pid);

  struct Late {
    uint64_t until_ns = 0;
    bool leader = false;  // the leader's EXIT was received; another one would be of another process
  };

  ProcessProbe& probe_;
  bool zeros_filtered_ = false, execs_received_ = true;
  size_t most_watched_;
  size_t watched_ = 0;
  PidMap<Dying> dying_;
  std::vector<int32_t> noted_, dead_;
  PidMap<int32_t> crashing_;  // pid -> tid of the crashed thread whose EXIT is still to come
  PidMap<Late> late_;
  std::deque<std::pair<int32_t, uint64_t>> late_order_;
};

}  // namespace knell::source
