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
#include "live/alarm.h"
#include "live/live_process_probe.h"
#include "live/plan.h"
#include "live/source_request.h"
#include "source/pacing.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"
#include "watch/batch.h"
#include "watch/normaliser.h"

namespace knell::live {

// Receives each event of a source before the normaliser does. References are valid during the call
// only.
class SourceObserver {
 public:
  virtual ~SourceObserver() = default;
  virtual void on_raw(const event::Raw&) {}
  virtual void on_full(const event::Full&) {}
  virtual void on_births_lost(uint64_t) {}
};

// Whether user names are looked up, which may wait for a directory server.
enum class UserNameLookup { kNo, kYes };

// A source of this machine's events with its normaliser, drained at the requested pace. Listeners
// in-process and the daemon are built on it. See feed.cc. Not thread-safe. Does not block, except
// in a user name look-up (UserNameLookup::kYes).
//
//   open() -> { set_interest() | add_pid() | poll fd(); read(); use and clear batch(); rearm() }*
class Feed final : private source::Sink {
 public:
  // The level is that of `interest` and never changes. `latency_ns`: see set_latency().
  // `event_filter` and `observer` must outlive the feed. Errors: those of open_source().
  static Result<std::unique_ptr<Feed>> open(const SourceOptions& options, int64_t latency_ns,
                                            const Interest& interest,
                                            watch::EventFilter& event_filter,
                                            SourceObserver* observer = nullptr,
                                            UserNameLookup look_up_names = UserNameLookup::kYes);
  ~Feed() override;

  // Replaces what is wanted, while events are received. Must be called once after open(), too.
  Result<void> set_interest(const Interest& interest);
  // From now on, set_interest() leaves scans of many processes to scan_some(), and the search for
  // processes under a new root to scan_under_roots(): each does one piece, and returns true when it
  // is finished.
  void scan_later();
  bool scan_some(ScanBudget& budget) {
    return source_->scan_some(budget) && normaliser_->scan_some(budget);
  }
  Result<bool> scan_under_roots(ScanBudget& budget);
  // How long an event may be delayed so that one wakeup serves several events, ns.
  void set_latency(int64_t latency_ns);

  // Adds a process whose events are wanted; see Interest::only_added. Its exit is reported even if
  // it dies before this call returns. `start`: clock ticks since boot, 0: any. Errors: ESRCH.
  Result<void> add_pid(int32_t pid, uint64_t start, const Interest& interest);
  Result<void> remove_pid(int32_t pid);
  // The process has ended; its events are not wanted any more.
  void forget_pid(int32_t pid) { source_->remove_pid(pid); }

  // An epoll descriptor, readable when read() has something to do.
  int fd() const { return epoll_.get(); }
  // Does all that is due. The batch must be empty before; afterwards it has the new events. Errors:
  // the source cannot be used any more; the events in the batch are valid.
  Result<void> read();
  // Drains the source, whether or not anything is due. Does nothing for a pidfd source. False: the
  // batch could not hold all events.
  Result<bool> read_now();
  watch::Batch& batch() { return batch_; }
  // Sets the timer for the next read(). `left`: events remain in the batch, so fd() stays readable.
  void rearm(bool left);

  // Whether a process exists, for those that `under` names.
  bool exists(int32_t pid) { return probe_->exists(pid); }
  uint64_t roots_of(int32_t pid) const { return source_->roots_of(pid); }
  // The source reports whole processes.
  bool full_events() const { return full_events_; }
  uint32_t kernel_mask() const { return kernel_mask_; }
  uint32_t via() const;  // enum knell_via
  const source::Source& source() const { return *source_; }
  const watch::Normaliser& normaliser() const { return *normaliser_; }
  // All fields but `shown`.
  knell_stats stats() const;

 private:
  struct Due {
    bool source = false, deaths = false, timer = false;
  };

  Feed(uint32_t level, int64_t latency_ns, SourceObserver* observer);
  Result<void> start(const SourceOptions& options, const Interest& interest,
                     watch::EventFilter& event_filter, UserNameLookup look_up_names);
  Result<void> request_full_events(const Interest& interest);
  Result<void> request_raw_events(const Interest& interest);
  int64_t budget_ns() const;
  void set_budget();

  Due collect_due();
  Result<void> serve(const Due& due);
  Result<void> drain();
  Result<source::Drained> drain_source(size_t most);
  Result<void> settle();
  size_t bound() const;
  void watch_source(bool watched);

  // Sink
  void on_raw(const event::Raw& raw) override;
  void on_full(const event::Full& full) override;
  void on_births_lost(uint64_t count) override;
  void on_cgroup(const event::CgroupChange& change) override { normaliser_->on_cgroup(change); }
  void on_process_ended(int32_t pid, uint64_t stamp_ns, bool status_known,
                        int32_t wait_status) override {
    normaliser_->on_process_ended(pid, stamp_ns, status_known, wait_status);
  }

  uint32_t level_;
  int64_t latency_ns_;
  SourceObserver* observer_;

  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  Alarm alarm_;
  std::optional<watch::ProcReader> proc_;
  watch::Batch batch_;
  std::optional<LiveProcessProbe> probe_;
  std::optional<watch::Normaliser> normaliser_;
  std::unique_ptr<source::Source> source_;
  source::PidfdSource* pidfds_ = nullptr;  // source_, if it is a pidfd source
  source::Pacer pacer_{0};
  int64_t paced_by_ns_ = -1;  // the pacer's budget; -1: none set yet
  uint32_t kernel_mask_ = 0;
  std::optional<Interest> interest_;  // the interest of the last successful set_interest()
  bool full_events_ = false;          // the source reports whole processes
  bool scans_later_ = false;
  bool source_watched_ = false;
  bool more_ = false;       // the source was not drained completely
  uint64_t health_ns_ = 0;  // time of the next health check; 0: never
  size_t sweep_ = 0;        // number of old entries that the next drain checks
  uint64_t wakeups_ = 0, drains_ = 0;
};

// The first 8 hex digits of the boot id as a number, and the whole boot id.
uint32_t boot_number();
std::string boot_id();

}  // namespace knell::live
