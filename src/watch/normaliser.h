// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "base/clock.h"
#include "event/raw.h"
#include "watch/batch.h"
#include "watch/event_filler.h"
#include "watch/exit_tracker.h"
#include "watch/lineage.h"
#include "watch/process_details.h"
#include "watch/threads.h"

namespace knell::watch {

// Who the events are for.
class EventFilter {
 public:
  virtual ~EventFilter() = default;
  // A quick answer before an event is made: could one of this type be wanted?
  virtual uint32_t mask() const = 0;
  virtual bool wants(Slot& slot, const filter::Ancestry& ancestry) = 0;
  // With a source of whole processes, which follows the roots by itself: the bits of a living one.
  virtual uint64_t roots_of(int32_t) { return 0; }
  // A process is over, whether or not its exit was wanted. `start`: clock ticks since boot, against
  // pid reuse; 0: unknown.
  virtual void over(int32_t pid, uint64_t start) = 0;
};

struct NormaliserOptions {
  uint32_t level = KNELL_LEVEL_PROCESS;
  uint32_t details =
      KNELL_DETAILS_FULL;  // what to remember; raised already where a predicate needs more
  uint32_t via = KNELL_VIA_CONNECTOR;  // of the events that come to on_raw() and on_over()
  // The source sends whole processes: nothing need be remembered of them. What comes to on_raw()
  // all the same is of living processes, and they are looked at in /proc.
  bool whole = false;
  bool user_names = true;  // false: they are not asked for, which might mean to wait for a server
  uint32_t boot = 0;       // the first 8 hex digits of the boot id
  size_t most_watched =
      1024;  // descriptors that may be held of processes with one foot in the grave
  TableLimits limits;
};

// Makes process-level events with details out of the kernel's thread-level ones, and puts those the
// event_filter wants into the batch. For each drain of the source:
//
//   begin_drain() -> on_raw()* -> judge() -> [on_raw()* when it found somebody dead] -> finish()
//
// with heard_until() whenever the source was left empty.
//
// Not thread-safe. Never waits. Reads /proc only with details above `status`, and for --under.
class Normaliser {
 public:
  Normaliser(const NormaliserOptions& options, const ProcReader& proc, const Clock& clock,
             ProcessProbe& probe, EventFilter& event_filter, Batch& batch);

  // At the start, after subscribing: what is alive already. What was told of it meanwhile is still
  // queued and is merged as it comes.
  void snapshot();
  // Whether what set_details(), set_heard() and follow() have to read in /proc is read at once, or
  // later and in pieces: by scan_some(), and by look_under_roots() what is under the roots, until
  // they are true.
  enum class Look { kNow, kLater };
  void set_look(Look look) { look_ = look; }
  bool scan_some(ScanBudget& budget);
  bool look_under_roots(ScanBudget& budget) { return lineage_.scan_some(proc_, budget); }
  // Raising the details takes a snapshot.
  void set_details(uint32_t details);
  // What the source sends from now on, as it was asked: KNELL_EVENT_*; FORK: of threads at least.
  // To be called once the source has been asked.
  void set_heard(uint32_t mask);
  // From now on knows who is under each of these, and of no others; false: too many roots.
  bool follow(std::span<const int32_t> roots);
  // The roots that the bits of event::Full::roots stand for.
  void set_roots(std::vector<int32_t> roots) { roots_ = std::move(roots); }
  CgroupTree& cgroups() { return filler_.cgroups(); }
  // Has the exit of this process told although it may be dead already.
  void follow_death(int32_t pid, UniqueFd pidfd) {
    exits_.follow(pid, std::move(pidfd), clock_.monotonic_ns());
  }

  void begin_drain();
  void on_raw(const event::Raw& raw);
  void on_full(const event::Full& full);
  void on_cgroup(const event::CgroupChange& change) { filler_.cgroups().change(change); }
  // A source says that a whole process is over.
  void on_over(int32_t pid, uint64_t stamp_ns, bool status_known, int32_t wait_status);
  size_t judge();
  // All that the source was sent before `at_ns` has been read.
  void heard_until(uint64_t at_ns) { heard_ns_ = std::max(heard_ns_, at_ns); }
  void finish();
  // A bounded look for what died unheard of: with zero exits filtered out nothing else removes it.
  // To be called after finish(), when the source was left empty; at_least: entries to look at.
  void sweep(size_t at_least);
  // When finish() is to be called again at the latest; 0: never.
  uint64_t due_ns() const { return exits_.due_ns(); }
  bool anything_noted() const { return exits_.anything_noted(); }
  void woken(int32_t pid) { exits_.woken(pid); }

  const ProcessDetails& memory() const { return memory_; }
  const Lineage& lineage() const { return lineage_; }

 private:
  struct End {
    int32_t pid;
    int32_t tid;
    uint64_t stamp_ns;
    std::optional<int32_t> status;
    uint32_t signal;
    int32_t parent;  // 0: not told
  };

  void begin_snapshot();
  void count_threads();
  void scan_rest();
  void on_fork(const event::Raw& raw);
  void on_exec(const event::Raw& raw);
  void forget_program(const Process& process);
  void on_change(const event::Raw& raw);
  void tell_ids(Slot& slot, const event::Raw& raw);
  void on_exit(const event::Raw& raw);
  void on_lost(const event::Raw& raw);
  void end_of_one(int32_t pid, const Dying& dying, std::optional<int32_t> status);
  void end(const End& end, Slot* slot);

  bool process_level() const { return options_.level == KNELL_LEVEL_PROCESS; }
  bool wanted(uint32_t what) const { return (event_filter_.mask() & what) != 0; }
  Slot* begin(uint32_t type, int32_t pid, int32_t tid, uint64_t stamp_ns);
  void fill(Slot& slot, uint32_t type, int32_t pid, int32_t tid, uint64_t stamp_ns);
  void fill_exit(Slot& slot, const End& end);
  void commit(Slot* slot);
  void commit(Slot* slot, uint64_t roots);

  NormaliserOptions options_;
  const ProcReader& proc_;
  const Clock& clock_;
  ProcessProbe& probe_;
  EventFilter& event_filter_;
  Batch& batch_;
  Timebase time_;
  ProcessDetails memory_;
  Lineage lineage_;
  Threads threads_;
  EventFiller filler_;
  std::vector<int32_t> roots_;
  ExitTracker exits_;
  size_t born_ = 0;  // since the last sweep
  uint32_t heard_ = 0;
  Look look_ = Look::kNow;
  bool hole_ = false;      // not looked into yet
  uint64_t heard_ns_ = 0;  // all that was sent before this has been read
  uint64_t looked_ns_ = 0;
};

}  // namespace knell::watch
