// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/pid_map.h"
#include "base/unique_fd.h"
#include "event/raw.h"
#include "watch/batch.h"
#include "watch/threads.h"

namespace knell::watch {

// What can be asked of a process that showed signs of dying. A seam: tests answer by hand.
class ProcessProbe {
 public:
  virtual ~ProcessProbe() = default;
  enum class Sign {
    kGone,  // reaped, or never there
    kDead,  // all its threads are dead, not reaped yet
    kAlive,
    kUnsure  // could not be told (no descriptors left): ask again
  };
  // `pidfd` is used when it is there, and left open by kAlive. A pid in use again by a process that
  // began after `before_ns` (CLOCK_MONOTONIC) counts as kGone.
  virtual Sign probe(int32_t pid, uint64_t before_ns, UniqueFd& pidfd) = 0;
  // The status that wait reports, for one found kGone or kDead; nullopt: nobody knows.
  virtual std::optional<int32_t> status(int32_t pid, const UniqueFd& pidfd) = 0;
  // Has ExitTracker::woken(pid) called when it dies. False: it cannot.
  virtual bool watch(int32_t pid, int pidfd) = 0;
  // Whether there is such a process, dead or alive; a quick look at the pid alone.
  virtual bool exists(int32_t pid) = 0;
};

// One process of which some thread has exited.
struct Dying {
  uint64_t first_ns = 0, last_ns = 0;  // stamps of its first and last EXIT
  uint64_t followed_ns = 0;            // when somebody asked for it by its pid
  uint32_t code = 0;                   // of its last EXIT
  uint32_t signal = 0;
  uint32_t unheard = 0;    // how many EXITs of its threads are still to come; or Threads::k*
  int32_t parent = 0;      // as the leader's EXIT told; 0: it did not
  Slot* slot = nullptr;    // in the stream, where its last EXIT was
  UniqueFd pidfd;          // held while it lives on
  bool noted = false;      // to be judged at the end of this drain
  bool dead = false;       // judged: over
  bool leader = false;     // the leader's EXIT was seen
  bool threads = false;    // some other thread's was
  bool mixed = false;      // not all with the same code
  bool core = false;       // some thread wrote a core
  bool outlived = false;   // it was seen alive after an EXIT
  bool watched = false;    // ExitTracker::woken() will be called
  uint64_t dead_ns = 0;    // when it was first found so
  bool ended_now = false;  // it lived on after its last EXIT: nobody knows when it ended but now
  bool zero_after =
      false;  // it died with no EXIT seen since: they are filtered out, so its status is 0
};

// Decides when a process is over, and with what status, from the EXITs of its threads; see
// exit_tracker.cc.
class ExitTracker {
 public:
  struct Over {
    int32_t pid;
    Dying& dying;
    std::optional<int32_t> status;
  };

  // `most_watched`: how many descriptors may be held; processes beyond are looked at by the sweep.
  ExitTracker(ProcessProbe& probe, size_t most_watched)
      : probe_(probe), most_watched_(most_watched) {}
  // Whether EXITs with code 0 do not come.
  void set_zeros_filtered(bool filtered) { zeros_filtered_ = filtered; }

  enum class Note {
    kNew,         // keep a slot for it: dying->slot
    kLate,        // of a process already told to be over
    kUnimportant  // a thread of a process whose leader's EXIT is still to come
  };
  // An EXIT. Sure ends, known to the process table, need not come here at all.
  // `others`: how many threads beside the leader have not exited yet, as Threads has it.
  Note note(const event::Raw& exit, uint32_t others, Dying** ret_dying);

  // Whether an EXIT of it was noted, or may still come although it was told to be over.
  bool knows(int32_t pid) const {
    return dying_.find(pid) != nullptr || late_.find(pid) != nullptr;
  }
  Dying* find(int32_t pid) { return dying_.find(pid); }
  // It is told, or it lives after all (it exec'ed); EXITs with this pid are news again.
  void forget(int32_t pid) {
    drop(pid);
    late_.erase(pid);
    crashing_.erase(pid);
  }

  // This thread of it caught a signal that writes a core: its EXIT is still to come.
  void crashed(int32_t pid, int32_t tid);

  // Looks at what was noted, of that without a slot at `most`; the rest waits for the next call.
  // Returns how many were found dead: read the source once more for their last words, then call
  // finish().
  size_t judge(size_t most, uint64_t now_ns);
  // Those found dead by the last judge() were dead by now.
  void date(uint64_t now_ns);
  // Tells those found dead, while there is `room()` for those without a slot. All that was sent
  // before `heard_ns` has been noted. `over(Over)` must not call back into this object.
  template <class Room, class F>
  void finish(uint64_t heard_ns, Room room, F over) {
    std::vector<int32_t> dead;
    dead.swap(dead_);
    for (const int32_t pid : dead) {
      Dying* dying = dying_.find(pid);
      if (dying == nullptr || !dying->dead) continue;
      if (awaits_more_exits(pid, *dying, heard_ns)) {
        dying->slot = nullptr;
        dead_.push_back(pid);
        continue;
      }
      if (dying->slot == nullptr && !room()) {
        dead_.push_back(pid);
        continue;
      }
      over(Over{pid, *dying, status_of(pid, *dying)});
      move_to_late(pid, *dying);
    }
  }
  // What its EXITs alone say.
  static int32_t told_status(const Dying& dying);
  // When finish() is to be called again for those that keep it waiting; 0: none does.
  uint64_t due_ns() const;
  bool anything_noted() const { return !noted_.empty(); }

  // A watched process died.
  void woken(int32_t pid);
  // Takes care of a process that somebody asked for although it may be dead already.
  void follow(int32_t pid, UniqueFd pidfd, uint64_t now_ns);
  // Looks again at up to `count` of those that could not be told or watched.
  void sweep(size_t count);
  size_t size() const { return dying_.size(); }

 private:
  static bool threads_unheard(const Dying& dying);
  bool threads_uncounted(const Dying& dying) const;
  static bool may_have_executed(const Dying& dying);
  bool awaits_more_exits(int32_t pid, const Dying& dying, uint64_t heard_ns);
  static int32_t with_core(int32_t status, const Dying& dying);
  std::optional<int32_t> status_of(int32_t pid, const Dying& dying);
  void move_to_late(int32_t pid, const Dying& dying);
  void note_again(int32_t pid, Dying& dying);
  bool examine(int32_t pid, Dying& dying, uint64_t now_ns);
  void keep_watching(int32_t pid, Dying& dying);
  void drop(int32_t pid);

  struct Late {
    uint64_t until_ns = 0;
    bool leader = false;  // its EXIT has come: another is another process's
  };

  ProcessProbe& probe_;
  bool zeros_filtered_ = false;
  size_t most_watched_;
  size_t watched_ = 0;
  PidMap<Dying> dying_;
  std::vector<int32_t> noted_, dead_;
  PidMap<int32_t> crashing_;  // the thread whose EXIT is still to come
  PidMap<Late> late_;
  std::deque<std::pair<int32_t, uint64_t>> late_order_;
};

}  // namespace knell::watch
