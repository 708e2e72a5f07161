// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "event/batch.h"
#include "feed/alarm.h"
#include "feed/recovery.h"
#include "filter/latency.h"
#include "source/join.h"
#include "source/output.h"
#include "source/pacing.h"
#include "source/registry.h"
#include "source/source.h"

namespace knell::feed {

using source::Interest;

// One source of this machine's events, drained at the pace that its listeners request. Used by
// listeners in a program and by the daemon. See feed.cc. Not thread-safe. Does not block, except
// while it looks up user names (process::UserNames).
//
//   open() -> { set_interest() | add_pid() | poll fd(); read(); use and clear batch(); rearm() }*
class Feed final {
 public:
  // The level is that of `interest` and never changes. `sink` must outlive the feed. Errors: those
  // of open_source().
  static Result<std::unique_ptr<Feed>> open(const source::SourceOptions& options,
                                            const filter::Latency& latency,
                                            const Interest& interest, source::Sink& sink);

  // Replaces the source by a new one, after a call that ran out of memory and left the source in an
  // unknown state. Puts a lost event without a count, from `from_ns` on, into the batch, which must
  // be empty. Added processes must be added again. Errors: those of open(), then the source is as
  // before, and those of set_interest().
  Result<void> replace_source(const Interest& interest, uint64_t from_ns);
  // Stops polling the source until `until_ns`; then fd() becomes readable.
  void suspend(uint64_t until_ns) {
    watch_source(false);
    alarm_.set(until_ns);
  }

  // Replaces the interest, while events are received. Must be called once after open(), too.
  Result<void> set_interest(const Interest& interest);
  // From now on, set_interest() leaves scans of many processes to scan_some(), and the search for
  // processes under a new root to scan_under_roots(): each does one piece, and returns true when it
  // is finished.
  void scan_later() { scans_later_ = true; }
  bool scan_some(ScanBudget& budget);
  Result<bool> scan_under_roots(ScanBudget& budget) { return source_->scan_under_roots(budget); }
  void set_latency(const filter::Latency& latency);

  // Adds a process whose events are wanted; see Interest::only_added. Its exit is reported even if
  // it ends before this call returns. `start`: clock ticks since boot, 0: any. Errors: ESRCH.
  Result<void> add_pid(int32_t pid, uint64_t start, const Interest& interest);
  // Removes an added process. Errors: those of Source::remove_pid().
  Result<void> remove_pid(int32_t pid);

  // An epoll descriptor, readable when read() has something to do.
  int fd() const { return epoll_.get(); }
  // Does all work that is due: draining, health check, scans. The batch must be empty before;
  // afterwards it has the new events. Errors: the source cannot be used any more; the events in the
  // batch are valid.
  Result<void> read();
  // Drains the source now, even if it is not due. False: the batch could not hold all events.
  Result<bool> read_now();
  event::Batch& batch() { return batch_; }
  // Sets the timer for the next read(). `left`: events remain in the batch, so fd() stays readable.
  void rearm(bool left) {
    left_ = left;
    set_timer();
  }

  // As in source::Source. saved(): fd() becomes readable if there is more to drain.
  void save(bool whole) { source_->save(whole); }
  void saved();

  uint32_t kernel_mask() const { return source_->kernel_mask(); }
  uint32_t via() const { return via_; }  // enum knell_via
  const source::Source& source() const { return *source_; }
  const Recovery& recovery() const { return recovery_; }
  // All members of the statistics except `shown`.
  knell_stats stats() const;

 private:
  Feed(const source::SourceOptions& options, const filter::Latency& latency, source::Sink& sink);
  Result<void> start(const Interest& interest);
  Result<void> open_source(const Interest& interest);
  void set_budget();
  void set_timer();
  Result<void> drain();
  void watch_source(bool watched);

  const source::SourceOptions options_;
  filter::Latency latency_;
  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  Alarm alarm_;
  event::Batch batch_;
  process::LiveKernelProcesses kernel_;
  Recovery recovery_;  // the sink of the source; passes the events on to the batch
  source::Output out_;
  std::unique_ptr<source::Source> source_;
  uint32_t via_ = 0;
  source::Pacer pacer_{filter::Latency()};
  std::optional<filter::Latency> paced_by_;  // the setting of the pacer; empty: not set yet
  std::optional<Interest> interest_;         // the interest of the last successful set_interest()
  bool scans_later_ = false;
  uint64_t read_until_ns_ = 0;  // all events before this time have been read
  bool source_watched_ = false;
  bool more_ = false;       // the source was not drained completely
  bool left_ = false;       // events remain in the batch
  uint64_t health_ns_ = 0;  // time of the next health check; 0: never
  uint64_t wakeups_ = 0, drains_ = 0;
};

}  // namespace knell::feed
