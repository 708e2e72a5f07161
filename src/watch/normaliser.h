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

// Decides which events are wanted.
class EventFilter {
 public:
  virtual ~EventFilter() = default;
  // A quick check before an event is built: the types that may be wanted.
  virtual uint32_t mask() const = 0;
  virtual bool wants(Slot& slot, const filter::Ancestry& ancestry) = 0;
  // Only for a source that reports whole processes and follows the roots itself: the root bits of a
  // living process.
  virtual uint64_t roots_of(int32_t) { return 0; }
  // A process has ended, whether or not its exit was wanted. `start`: clock ticks since boot, to
  // tell it from another process with the same pid; 0: unknown.
  virtual void on_process_ended(int32_t pid, uint64_t start) = 0;
};

struct NormaliserOptions {
  uint32_t level = KNELL_LEVEL_PROCESS;
  uint32_t details =
      KNELL_DETAILS_FULL;              // what to store; raised already where a predicate needs more
  uint32_t via = KNELL_VIA_CONNECTOR;  // of the events from on_raw() and on_process_ended()
  // The source reports whole processes (event::Full), so nothing is stored about them. Events that
  // still come to on_raw() are of living processes, which are read from /proc.
  bool full_events = false;
  bool user_names = true;  // false: no look-up, which might wait for a directory server
  uint32_t boot = 0;       // the first 8 hex digits of the boot id
  size_t most_watched =
      1024;  // descriptors that may be held of processes of which some thread has exited
  TableLimits limits;
};

// Makes process-level events with details from the kernel's thread-level events, and puts those
// that the EventFilter wants into the batch. For each drain of the source:
//
//   begin_drain() -> on_raw()* -> probe_exits() -> [on_raw()* if it found dead ones] -> finish()
//
// with set_read_until() whenever the source was left empty.
//
// Not thread-safe. Does not block, except in a user name look-up (NormaliserOptions::user_names).
// Reads /proc for details above `status`, for --under, and to count threads while forks are
// received.
class Normaliser {
 public:
  Normaliser(const NormaliserOptions& options, const ProcReader& proc, const Clock& clock,
             ProcessProbe& probe, EventFilter& event_filter, Batch& batch);

  // Reads the processes that are alive: at the start, after subscribing. Their events that are
  // still queued are merged as they are read.
  void snapshot();
  // When the /proc reads for set_details(), set_reported_types() and follow() happen. kNow: within
  // the call. kLater: in pieces, by scan_some() and, for the processes under the roots,
  // scan_under_roots(), each called until it returns true.
  enum class ScanTime { kNow, kLater };
  void set_scan_time(ScanTime when) { scan_time_ = when; }
  bool scan_some(ScanBudget& budget);
  bool scan_under_roots(ScanBudget& budget) { return lineage_.scan_some(proc_, budget); }
  // Raising the details takes a snapshot.
  void set_details(uint32_t details);
  // The event types that the source was asked for, KNELL_EVENT_*; FORK: at least of threads. Call
  // it after the request to the source.
  void set_reported_types(uint32_t mask);
  // Follows the processes under each of `roots`, and stops following all others; false: too many
  // roots.
  bool follow(std::span<const int32_t> roots);
  // The roots that the bits of event::Full::roots stand for.
  void set_roots(std::vector<int32_t> roots) { roots_ = std::move(roots); }
  CgroupTree& cgroups() { return filler_.cgroups(); }
  // Reports the exit of this process, which may be dead already.
  void follow_exit(int32_t pid, UniqueFd pidfd) {
    exits_.follow(pid, std::move(pidfd), clock_.monotonic_ns());
  }

  void begin_drain();
  void on_raw(const event::Raw& raw);
  void on_full(const event::Full& full);
  void on_cgroup(const event::CgroupChange& change) { filler_.cgroups().change(change); }
  // The source reports that a process has ended.
  void on_process_ended(int32_t pid, uint64_t stamp_ns, bool status_known, int32_t wait_status);
  size_t probe_exits();
  // All events sent to the source before `at_ns` have been read.
  void set_read_until(uint64_t at_ns) { read_until_ns_ = std::max(read_until_ns_, at_ns); }
  void finish();
  // Checks a bounded number of entries, `at_least` or more, and erases those of processes that
  // ended without an event: with zero exits filtered out nothing else erases them. Call it after
  // finish(), when the source was left empty.
  void sweep(size_t at_least);
  // The latest time to call finish() again; 0: no call is needed.
  uint64_t due_ns() const { return exits_.due_ns(); }
  bool has_noted() const { return exits_.has_noted(); }
  void on_pidfd_readable(int32_t pid) { exits_.on_pidfd_readable(pid); }

  const ProcessDetails& process_details() const { return process_details_; }
  const Lineage& lineage() const { return lineage_; }

 private:
  struct End {
    int32_t pid;
    int32_t tid;
    uint64_t stamp_ns;
    std::optional<int32_t> status;
    uint32_t signal;
    int32_t parent;  // 0: unknown
  };

  void begin_snapshot();
  void count_threads();
  void scan_rest();
  void on_fork(const event::Raw& raw);
  void on_exec(const event::Raw& raw);
  void forget_program(const Process& process);
  void on_change(const event::Raw& raw);
  void fill_ids(Slot& slot, const event::Raw& raw);
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
  ProcessDetails process_details_;
  Lineage lineage_;
  Threads threads_;
  EventFiller filler_;
  std::vector<int32_t> roots_;
  ExitTracker exits_;
  size_t born_ = 0;  // since the last sweep
  uint32_t reported_types_ = 0;
  ScanTime scan_time_ = ScanTime::kNow;
  bool hole_ = false;           // events were lost and /proc was not read again yet
  uint64_t read_until_ns_ = 0;  // all events sent before this have been read
  uint64_t looked_ns_ = 0;
};

}  // namespace knell::watch
