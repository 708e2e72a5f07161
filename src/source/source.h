// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/pid_scan.h"
#include "base/result.h"
#include "event/batch.h"
#include "event/raw.h"
#include "filter/predicates.h"
#include "process/births.h"
#include "process/live_set.h"

namespace knell::source {

using event::Slot;

// The owner of a thread event, which decides who may see the event: the user of its process, and
// its pids in pid namespaces.
struct Owner {
  std::optional<uint32_t> uid;
  // pid and tid are those of the event; other_pid and other_ppid are those of the process and
  // thread in the event's union (see event::Raw). Valid during the call.
  std::span<const event::NamespacePids> levels;
  bool levels_known = false;
};

// The reader of a source: decides which events are wanted. Called only from within Source::drain()
// and check_health(). References are valid only during the call.
class Sink {
 public:
  virtual ~Sink() = default;
  // The types of events that may be wanted; an event of another type is not built.
  virtual uint32_t types() const = 0;
  // Whether events need the names of users, whose look-up may wait for a directory server.
  virtual bool wants_user_names() const { return true; }
  // Whether a finished event is wanted. `ancestry`: of its process, for `under`. The event may also
  // be changed here.
  virtual bool wants(Slot& slot, const filter::Ancestry& ancestry) = 0;
  // A process has ended, whether or not its exit was wanted. `start`: clock ticks since boot, to
  // tell it from another process with the same pid; 0: unknown. `levels`: as in Slot.
  virtual void on_process_ended(int32_t pid, uint64_t start,
                                std::span<const event::NamespacePids> levels) = 0;
  // Called if SourceRequest::lifetimes is set: a process has begun. `start`: clock ticks since
  // boot; `exact`: else it may be a tick too late. Called before the source forgets an earlier
  // process with the same pid.
  virtual void on_process_begun(int32_t, uint64_t, bool) {}
  // At raw level: an event of a thread, or a hole (KNELL_EVENT_LOST) at its place in the stream.
  virtual void on_thread_event(const event::Raw&, const Owner&) {}
  // Called if SourceRequest::namespaces is set and Capabilities::births: a process or thread was
  // born in a pid namespace. on_births_lost(): the number of lost births.
  virtual void on_birth(const process::Birth&) {}
  virtual void on_births_lost(uint64_t) {}
};

// What a source is asked to report: never more than the joined interest of all listeners. The
// source may report more, but not less.
struct SourceRequest {
  uint32_t mask = 0;     // KNELL_EVENT_* as for the kernel, normalised
  uint32_t level = 0;    // enum knell_level; never changes
  uint32_t details = 0;  // enum knell_details
  bool any_pid = true;   // false: only processes given to Source::add_pid(), and `pids`
  std::vector<int32_t> pids{};
  std::vector<uint32_t> uids{};  // only processes with these real uids; empty: all users
  // Only processes in these cgroups and below. Paths without a slash at the end. Empty: all.
  std::vector<std::string> cgroups{};
  std::vector<filter::Root> roots{};  // that `under` names
  bool only_under = false;            // only processes under one of the roots
  // set_request() does not scan the processes that exist already; the caller then calls scan_some()
  // and scan_under_roots().
  bool scan_later = false;
  // owners: events must have the real uid of their process, whatever `details` says. namespaces:
  // events must have the pids in pid namespaces. With either, the source also stores processes that
  // no listener asked for.
  bool owners = false, namespaces = false;
  // Report the beginning and the end of every process to the sink, whatever `mask` says.
  bool lifetimes = false;
  bool operator==(const SourceRequest&) const = default;
};

// An event that did not come, although it happened.
struct Missed {
  uint32_t type = 0;              // KNELL_EVENT_EXIT, FORK or EXEC
  int32_t pid = 0;                // FORK: of the child
  int32_t ppid = 0;               // FORK and EXEC
  uint64_t start = 0;             // clock ticks since boot
  bool exact = true;              // false: `start` may be a tick too late
  std::optional<int32_t> status;  // EXIT
  uint64_t found_ns = 0;          // CLOCK_MONOTONIC
};

// What a source can report on this kernel with these privileges. Used to choose a source, and shown
// to users.
struct Capabilities {
  uint32_t types = 0;  // the event types it can report
  // Unwanted events are dropped before they are queued, by the connector's own filter (Linux 6.6)
  // or by the bpf programs. False with a classic BPF filter on the socket.
  bool kernel_filter = false;
  uint64_t buffer_bytes = 0;  // size of the kernel's buffer, as the kernel counts it
  bool births = false;        // it calls Sink::on_birth() if SourceRequest::namespaces is set
};

struct Counters {
  uint64_t received = 0;  // events read
  uint64_t lost = 0;      // events lost, as the kernel counts them
  // The same, by the mask of the types that they may be of.
  std::map<uint32_t, uint64_t> lost_by_types{};
  uint64_t repaired = 0;  // times that events had stopped and the source repaired it
  // What is stored about processes: entries, bytes, and how often something was not stored at the
  // limit.
  uint64_t processes = 0, process_bytes = 0, forgotten = 0;
};

inline constexpr uint64_t kDueNow = 1;  // Source::due_ns() that has passed

enum class Drained {
  kEmpty,  // there was nothing to read
  kSome,   // something was read, and the source is empty now
  kMore    // stopped at the caller's bound: there may be more
};

// One subscription to a kernel's process events. Puts finished events into the Output that it was
// made with. Not thread-safe. Lifecycle:
//   create() -> set_request() any number of times -> { poll fd(); drain() }* -> destructor
class Source {
 public:
  virtual ~Source() = default;
  // Changes what the source sends while it runs. Events that are wanted both before and after the
  // call are not lost by it.
  [[nodiscard]] virtual Result<void> set_request(const SourceRequest& wanted) = 0;
  // The event types that the kernel was asked for.
  virtual uint32_t kernel_mask() const = 0;
  // Adds a process whose events are wanted; see SourceRequest::any_pid. `start`: clock ticks since
  // boot; 0: any process with this pid. Its exit is reported even if it dies before this call
  // returns. Errors: ESRCH there is no such process.
  [[nodiscard]] virtual Result<void> add_pid(int32_t pid, uint64_t start) = 0;
  // Errors: ENOENT it was not added.
  [[nodiscard]] virtual Result<void> remove_pid(int32_t) { return {}; }
  // After set_request() with scan_later, call each of these until it returns true. scan_some()
  // reads in /proc what the source needs about processes that exist already; scan_under_roots()
  // finds the processes under new roots. Errors: there are too many processes to follow them all.
  virtual bool scan_some(ScanBudget&) { return true; }
  [[nodiscard]] virtual Result<bool> scan_under_roots(ScanBudget&) { return true; }
  // Readable when there is something to drain. Stays the same for the source's life.
  virtual int fd() const = 0;
  // The latest time for the next drain, CLOCK_MONOTONIC; 0: when fd() is readable.
  virtual uint64_t due_ns() const { return 0; }
  // Events must be read at once, because the source then reads in /proc what they do not have.
  virtual bool is_urgent() const { return false; }
  // Reads up to `bound` events without blocking. Errors: the source is broken for good; the events
  // in the batch are valid.
  [[nodiscard]] virtual Result<Drained> drain(size_t bound) = 0;
  // Whether check_health() has to be called.
  virtual bool has_health_checks() const { return true; }
  // Call it every few seconds, before a drain. Checks whether events still arrive. If not, tries to
  // repair the source and reports the hole (a lost event without a count). Also checks many of the
  // stored processes. Errors: events do not arrive and the repair failed.
  [[nodiscard]] virtual Result<void> check_health() { return {}; }
  // Of which processes lost exits can be found out, if this is requested: see process::Tracked.
  // kAll: the source can serve the request with `lifetimes`.
  virtual process::Tracked recoverable(const SourceRequest&) const {
    return process::Tracked::kNone;
  }
  // Puts this event into the output, with what the source knows of the process. An exit: and tells
  // the sink that the process has ended, unless the source has reported that before.
  virtual void report_missed(const Missed&) {}
  // Its table of processes, which also holds the live set (process::LiveSet); nullptr: it has none,
  // and nothing is recoverable.
  virtual process::ProcessTable* table() { return nullptr; }
  // With SourceOptions::kept: appends to its state what another process needs to go on from here.
  // `whole`: everything, else what has changed. Call saved() when that is committed: only then the
  // kernel's buffer is freed of what was drained. Returns whether there is more to drain.
  virtual void save(bool) {}
  virtual bool saved() { return false; }
  virtual Capabilities capabilities() const = 0;
  virtual Counters counters() const = 0;
};

}  // namespace knell::source
