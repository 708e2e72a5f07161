// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "event/raw.h"
#include "process/births.h"
#include "process/proc_reader.h"
#include "process/process_table.h"
#include "source/connector/exit_tracker.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::source {

struct AssemblerOptions {
  uint32_t level = KNELL_LEVEL_PROCESS;
  // The most descriptors held for processes of which some thread has exited.
  size_t most_watched = 1024;
  process::TableLimits limits;
  // Another source of births, for SourceRequest::namespaces; nullptr: only /proc
  process::Births* births = nullptr;
};

// Makes finished events, at process level with details, from the kernel's thread-level events. For
// each drain of the connector:
//
//   on_raw()* -> probe_exits() -> [on_raw()* if it found dead ones] -> finish() -> sweep()
//
// with set_read_until() whenever the connector was left empty.
//
// Not thread-safe. Does not block, except in a look-up of user names (UserNames). Reads /proc for
// details above `status`, for `under`, for owners, and to count threads while forks are received.
class Assembler {
 public:
  Assembler(const AssemblerOptions& options, Output& out, const process::ProcReader& proc,
            ProcessProbe& probe);

  // Serves the request from now on. `mask`: the event types that were requested from the connector
  // before, KNELL_EVENT_*; FORK: at least of threads. Errors: EINVAL too many roots.
  Result<void> set_request(const SourceRequest& wanted, uint32_t mask);
  // Continues the reads of /proc that the last set_request() began, see Source.
  bool scan_some(ScanBudget& budget);
  bool scan_under_roots(ScanBudget& budget) { return table_.scan_under_roots(budget); }
  // Reports the exit of this process, which may already be dead.
  void follow_exit(int32_t pid, UniqueFd pidfd) {
    exits_.follow(pid, std::move(pidfd), out_.clock().monotonic_ns());
  }

  void on_raw(const event::Raw& raw);
  size_t probe_exits();
  // All events sent to the connector before `at_ns` have been read.
  void set_read_until(uint64_t at_ns) { read_until_ns_ = std::max(read_until_ns_, at_ns); }
  void finish();
  // See Source::report_missed().
  void report_missed(const Missed& missed);
  // Checks a bounded number of entries, `at_least` or more, and erases those of processes that
  // ended without an event: with zero exits filtered out nothing else erases them. Call it after
  // finish(), when the connector was left empty.
  void sweep(size_t at_least);
  // Erases only processes whose exit was read. Call it instead of sweep() if the connector was not
  // left empty.
  void sweep_ended() {
    table_.sweep_ended([&](int32_t pid) { return is_gone(pid); });
  }
  // The latest time to call finish() again; 0: no call is needed.
  uint64_t due_ns() const { return reading_again_ ? kDueNow : exits_.due_ns(); }
  bool has_noted() const { return exits_.has_noted(); }
  void drop_slots() { exits_.drop_slots(); }
  void on_pidfd_readable(int32_t pid) { exits_.on_pidfd_readable(pid); }
  // See Source::is_urgent().
  bool is_urgent() const;

  process::ProcessTable& table() { return table_; }
  const process::ProcessTable& table() const { return table_; }

 private:
  struct End {
    int32_t pid;
    int32_t tid;
    uint64_t stamp_ns;
    std::optional<int32_t> status;
    uint32_t signal;
    int32_t parent;                  // 0: unknown
    const Missed* missed = nullptr;  // the exit was not received: it is recovered
    bool followed = false;           // it was dead when it was added
  };

  void scan_all();
  // Whether the entry of this process is not needed any more.
  bool is_gone(int32_t pid) const { return !probe_.exists(pid); }

  void begin_process(const event::Raw& fork);
  void on_fork(const event::Raw& raw);
  void on_exec(const event::Raw& raw);
  void forget_program(const process::Task& task);
  void on_change(const event::Raw& raw);
  void fill_ids(Slot& slot, const event::Raw& raw);
  void on_exit(const event::Raw& raw);
  void on_lost(const event::Raw& raw);
  void end_of_one(int32_t pid, const Dying& dying, std::optional<int32_t> status);
  void end(const End& end, Slot* slot);

  void report_thread_event(const event::Raw& raw);
  bool read_births(uint64_t stamp_ns);
  void add_owner(Slot& slot);

  bool has_details() const { return table_.kept().details != KNELL_DETAILS_STATUS; }
  bool process_level() const { return options_.level == KNELL_LEVEL_PROCESS; }
  Slot* begin(uint32_t type, int32_t pid, int32_t tid, uint64_t stamp_ns) {
    return out_.begin(type, KNELL_VIA_CONNECTOR, pid, tid, stamp_ns);
  }
  void fill_exit(Slot& slot, const End& end);
  void fill_missed(Slot& slot, const Missed& missed);
  void commit(Slot& slot);

  AssemblerOptions options_;
  Output& out_;
  ProcessProbe& probe_;
  process::ProcessTable table_;
  uint64_t births_read_ns_ = 0;  // all births that options_.births reported before were read
  ExitTracker exits_;
  uint32_t reported_types_ = 0;
  bool lifetimes_ = false;      // see SourceRequest
  bool hole_ = false;           // events were lost, and /proc was not read since
  bool reading_again_ = false;  // /proc is being read, a piece in each finish()
  uint64_t read_until_ns_ = 0;  // all events sent before this have been read
  uint64_t looked_ns_ = 0;      // when /proc was last read because of a hole
};

}  // namespace knell::source
