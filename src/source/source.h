// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/pid_scan.h"
#include "base/result.h"
#include "event/cgroup.h"
#include "event/full.h"
#include "event/raw.h"

namespace knell::source {

// Where a source puts what it read. Called only from within drain(); references die with the call.
class Sink {
 public:
  virtual ~Sink() = default;
  // An event at thread level, or a hole (what == KNELL_EVENT_LOST) in the place in the stream where
  // it is.
  virtual void on_raw(const event::Raw& raw) = 0;
  // An event of a whole process: sources with Capabilities::whole only, which send nothing else but
  // holes.
  virtual void on_full(const event::Full&) {}
  // So many births were lost that nobody asked for: with Wanted::namespaces only.
  virtual void on_births_lost(uint64_t) {}
  virtual void on_cgroup(const event::CgroupChange&) {}
  // A process is over: pidfd source only. `wait_status` is meaningless unless `status_known`.
  virtual void on_over(int32_t pid, uint64_t stamp_ns, bool status_known, int32_t wait_status) = 0;
};

// What a source is asked for: never more than the listeners' joined interest.
struct Wanted {
  uint32_t mask =
      0;  // KNELL_EVENT_* as for the kernel, normalised; the source may send more, never less
  bool forks_of_threads_only = false;  // of FORK, births of processes are not wanted
  // What follows is for sources with Capabilities::whole; the others send everything all the same.
  uint32_t level = 0;            // enum knell_level
  uint32_t details = 0;          // enum knell_details
  bool any_pid = true;           // false: only of processes given to Source::add_pid()
  std::vector<uint32_t> uids{};  // real uids; empty: of every user
  // Only of processes in these cgroups and below: paths without a slash at the end; empty: of all.
  std::vector<std::string> cgroups{};
  std::vector<int32_t> roots{};  // in the order of the bits of event::Full::roots
  bool only_under = false;       // only of processes under one of the roots
  bool look_later = false;       // what lives already is found by scan_some(), look_under_roots()
  // Events carry the numbers of pid namespaces (event::Full::levels), and every birth inside one is
  // told, of threads too, wanted or not (event::Full::only_birth).
  bool namespaces = false;
  bool operator==(const Wanted&) const = default;
};

// What a source can do here, for the plan and for people.
struct Capabilities {
  uint32_t types = 0;  // the event types it can give
  bool whole = false;  // sends event::Full instead of thread-level events
  bool kernel_filter =
      false;  // an event nobody asked for is dropped before it is queued by the kernel's own filter
  uint64_t buffer_bytes = 0;  // room the kernel gave, as it counts
};

struct Counters {
  uint64_t received = 0;  // events read
  uint64_t lost = 0;      // the kernel's own count
  uint64_t healed = 0;    // times found deaf and mended
};

enum class Drained {
  kEmpty,  // nothing was there
  kSome,   // something was read, and the source was left empty
  kMore    // stopped at the caller's bound: there may be more
};

// One subscription to a kernel's process events. Not thread-safe. Lifecycle:
//   create() -> want() any number of times -> { poll fd(); drain() }* -> destructor
class Source {
 public:
  virtual ~Source() = default;
  // Changes what comes, live. Nothing wanted before and after is lost by it.
  [[nodiscard]] virtual Result<void> want(const Wanted& wanted) = 0;
  // Whose events are wanted, beside what Wanted says; see Wanted::any_pid.
  [[nodiscard]] virtual Result<void> add_pid(int32_t) { return {}; }
  virtual void remove_pid(int32_t) {}
  // Under which of Wanted::roots a living process is, a bit each.
  virtual uint64_t roots_of(int32_t) const { return 0; }
  // After want() with look_later, each until it is true: looks at processes in /proc, for what is
  // needed to know of those that live already, and for those under a new root. Errors: not all of
  // those can be followed.
  virtual bool scan_some(ScanBudget&) { return true; }
  [[nodiscard]] virtual Result<bool> look_under_roots(ScanBudget&) { return true; }
  // Readable when there is something to drain. Stays the same for the source's life.
  virtual int fd() const = 0;
  // Reads up to `bound` events without blocking. Errors: the source is broken for good.
  [[nodiscard]] virtual Result<Drained> drain(Sink& sink, size_t bound) = 0;
  // To be called every few seconds: finds out whether events still come, mends it where it can, and
  // tells the sink of the hole (a lost event without a count). Errors: events come no more and it
  // could not be mended.
  [[nodiscard]] virtual Result<void> check_health(Sink& sink) = 0;
  virtual Capabilities capabilities() const = 0;
  virtual Counters counters() const = 0;
};

}  // namespace knell::source
