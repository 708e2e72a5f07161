// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/pid_scan.h"
#include "base/result.h"
#include "event/full.h"
#include "event/raw.h"

namespace knell::source {

// Receives what a source reads. Called only from within Source::drain() and check_health().
// References are valid only during the call.
class Sink {
 public:
  virtual ~Sink() = default;
  // An event of one thread, or a hole (what == KNELL_EVENT_LOST) at its place in the stream.
  virtual void on_raw(const event::Raw& raw) = 0;
  // An event of a whole process. Only sources with Capabilities::full_events call this. Such a
  // source calls on_raw() only for holes, and a MergedSource also for the events of its second
  // source.
  virtual void on_full(const event::Full&) {}
  // This many births were lost that are sent only because of SourceRequest::namespaces
  // (event::Full::for_levels_only).
  virtual void on_births_lost(uint64_t) {}
  virtual void on_cgroup(const event::CgroupChange&) {}
  // A process has ended. Only the pidfd source calls this. `wait_status` is valid only if
  // `status_known`.
  virtual void on_process_ended(int32_t pid, uint64_t stamp_ns, bool status_known,
                                int32_t wait_status) = 0;
};

// What a source is asked to send: never more than the joined interest of all listeners.
struct SourceRequest {
  uint32_t mask =
      0;  // KNELL_EVENT_* as for the kernel, normalised; the source may send more, but not less
  bool forks_of_threads_only = false;  // FORK events of new threads only, not of new processes
  // The members below are for sources with Capabilities::full_events; other sources ignore them and
  // send everything.
  uint32_t level = 0;            // enum knell_level
  uint32_t details = 0;          // enum knell_details
  bool any_pid = true;           // false: only processes given to Source::add_pid()
  std::vector<uint32_t> uids{};  // only processes with these real uids; empty: all users
  // Only processes in these cgroups and below. Paths without a slash at the end. Empty: all.
  std::vector<std::string> cgroups{};
  std::vector<int32_t> roots{};  // pids, in the order of the bits of event::Full::roots
  bool only_under = false;       // only processes under one of the roots
  // set_request() does not scan the processes that exist already; the caller then calls scan_some()
  // and scan_under_roots().
  bool scan_later = false;
  // Events carry the pids of each pid namespace (event::Full::levels). Every birth of a process or
  // a thread inside a pid namespace is sent, even if it is not wanted
  // (event::Full::for_levels_only).
  bool namespaces = false;
  bool operator==(const SourceRequest&) const = default;
};

// What a source can do on this kernel with these privileges. Used to plan, and shown to users.
struct Capabilities {
  uint32_t types = 0;        // the event types it can report
  bool full_events = false;  // sends event::Full instead of thread-level events
  // Unwanted events are dropped before they are queued, by the connector's own filter (Linux 6.6)
  // or by the bpf programs. False with a classic BPF filter on the socket.
  bool kernel_filter = false;
  uint64_t buffer_bytes = 0;  // size of the kernel's buffer, as the kernel counts it
};

struct Counters {
  uint64_t received = 0;  // events read
  uint64_t lost = 0;      // events lost, as the kernel counts them
  uint64_t repaired = 0;  // times that events had stopped and the source repaired it
};

enum class Drained {
  kEmpty,  // there was nothing to read
  kSome,   // something was read, and the source is empty now
  kMore    // stopped at the caller's bound: there may be more
};

// One subscription to a kernel's process events. Not thread-safe. Lifecycle:
//   create() -> set_request() any number of times -> { poll fd(); drain() }* -> destructor
class Source {
 public:
  virtual ~Source() = default;
  // Changes what the source sends while it runs. Events that are wanted both before and after the
  // call are not lost by it.
  [[nodiscard]] virtual Result<void> set_request(const SourceRequest& wanted) = 0;
  // Adds and removes a process whose events are wanted when SourceRequest::any_pid is false.
  [[nodiscard]] virtual Result<void> add_pid(int32_t) { return {}; }
  virtual void remove_pid(int32_t) {}
  // Which of SourceRequest::roots a living process is under: bit i stands for roots[i].
  virtual uint64_t roots_of(int32_t) const { return 0; }
  // After set_request() with scan_later, call each of these until it returns true. scan_some()
  // reads in /proc what the source needs about processes that exist already; scan_under_roots()
  // finds the processes under new roots. Errors: there are too many processes to follow them all.
  virtual bool scan_some(ScanBudget&) { return true; }
  [[nodiscard]] virtual Result<bool> scan_under_roots(ScanBudget&) { return true; }
  // Readable when there is something to drain. Stays the same for the source's life.
  virtual int fd() const = 0;
  // Reads up to `bound` events without blocking. Errors: the source is broken for good.
  [[nodiscard]] virtual Result<Drained> drain(Sink& sink, size_t bound) = 0;
  // Call it every few seconds. Checks whether events still arrive. If not, tries to repair the
  // source and reports the hole to the sink (a lost event without a count). Errors: events do not
  // arrive and the repair failed.
  [[nodiscard]] virtual Result<void> check_health(Sink& sink) = 0;
  virtual Capabilities capabilities() const = 0;
  virtual Counters counters() const = 0;
};

}  // namespace knell::source
