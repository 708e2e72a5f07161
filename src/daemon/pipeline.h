// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hub/hub.h"
#include "live/feed.h"
#include "watch/task_ids.h"

namespace knell::daemon {

// One feed. Publishes its events to the hub, with the uid and namespace pids that decide which
// listeners may see them; see pipeline.cc. The daemon has two pipelines: one of processes, one of
// threads, for listeners of the kernel's thread-level events.
class Pipeline final : private watch::EventFilter, private live::SourceObserver {
 public:
  enum class Level { kProcesses, kThreads };
  // Called with each event before it is published.
  using OnEvent = std::function<void(watch::Batch&, watch::Slot&)>;
  // Called with each full event of a source that has them.
  using OnFull = std::function<void(const event::Full&)>;

  // `via`: as knell_options.via.
  Pipeline(Level level, uint32_t via, hub::Hub& hub, OnEvent on_event);

  // Requests these events from now on. Opens the feed if necessary. Errors: the source cannot
  // provide them.
  Result<void> set_interest(const filter::Interest& interest, int64_t latency_ns);
  // Closes the feed, since no events are needed.
  void close();
  // Closes a feed that failed, and publishes a lost event to its listeners.
  void close_after_failure();
  bool is_open() const { return feed_ != nullptr; }
  // Changes with each open().
  int fd() const { return feed_->fd(); }
  // Reads new events and publishes them. Errors: the source failed, call close() or
  // close_after_failure().
  Result<void> read();
  // Reads all events up to now, without waiting for the latency budget.
  Result<void> read_now();

  // Sets whether to follow the uids of all processes, and their pids in pid namespaces. Needed for
  // listeners that may see only some processes.
  void follow_task_ids(bool uids, bool levels);
  bool follows_task_ids() const { return task_ids_ != nullptr; }
  bool follows_levels() const { return by_level_; }
  void set_on_full(OnFull on_full) { on_full_ = std::move(on_full); }
  // Reads the forks that another source has reported, which are passed to on_fork(). Returns
  // whether that source reports every fork inside a pid namespace.
  using ReadForks = std::function<bool()>;
  void set_read_forks(ReadForks read_forks) { read_forks_ = std::move(read_forks); }
  // Forks reported by another source.
  void on_fork(const event::Full& full);
  void on_births_lost(uint64_t count) override;
  // Called when forks were lost that would have been passed to on_full().
  void set_on_births_lost(std::function<void(uint64_t)> f) { on_births_lost_ = std::move(f); }

  // After set_interest() and follow_task_ids(), /proc must be scanned, and the processes under new
  // roots must be found. Each call does a part of that. Returns whether it is finished.
  bool scan_some(ScanBudget& budget);
  Result<bool> scan_under_roots(ScanBudget& budget);

  Result<void> add_pid(int32_t pid, uint64_t start, const filter::Interest& interest);
  void remove_pid(int32_t pid);

  // The next sequence number of this CPU, for an ack, which is a datagram but not an event.
  uint32_t next_number(uint32_t cpu);
  std::optional<event::Raw> translate(const event::Raw& raw, uint32_t ns);

  const live::Feed* feed() const { return feed_.get(); }
  const filter::Interest& interest() const { return interest_; }
  int64_t latency_ns() const { return latency_ns_; }
  const std::string& why_not() const { return why_not_; }  // the error of the last failed open
  // The counters include feeds that were closed.
  uint64_t received() const;
  uint64_t lost() const;
  uint64_t repaired() const;
  uint64_t drains() const;

 private:
  Result<void> open(const filter::Interest& interest, int64_t latency_ns);
  filter::Stream stream() const {
    return level_ == Level::kProcesses ? filter::Stream::kProcesses : filter::Stream::kThreads;
  }
  void publish(watch::Slot& slot);
  void publish(const event::Raw& raw);
  void publish_lost(const event::Raw& raw);
  void sweep();
  bool read_forks_before(uint64_t stamp_ns);
  Result<void> publish_batch(Result<void> outcome);
  uint32_t reported_types() const;
  std::span<const event::NamespacePids> levels_of(const event::Raw& raw, bool& known);

  // EventFilter
  uint32_t mask() const override;
  bool wants(watch::Slot& slot, const filter::Ancestry& ancestry) override;
  void on_process_ended(int32_t pid, uint64_t start) override;
  uint64_t roots_of(int32_t pid) override { return feed_->roots_of(pid); }
  // SourceObserver
  void on_raw(const event::Raw& raw) override;
  void on_full(const event::Full& full) override;

  Level level_;
  uint32_t via_;
  hub::Hub& hub_;
  OnEvent on_event_;
  OnFull on_full_;
  std::function<void(uint64_t)> on_births_lost_;
  ReadForks read_forks_;
  uint64_t newest_ns_ = 0;      // the stamp of the last event read
  uint64_t forks_read_ns_ = 0;  // all forks reported before this time were read
  Clock& clock_ = system_clock();
  std::unique_ptr<live::Feed> feed_;
  filter::Interest interest_;
  int64_t latency_ns_ = 0;
  uint32_t shown_ = 0;
  std::vector<int32_t> roots_;  // root i is bit i of watch::Slot::note
  std::string why_not_;

  std::optional<watch::ProcReader> proc_;
  std::unique_ptr<watch::TaskIds> task_ids_;
  bool by_level_ = false;
  uint64_t swept_ns_ = 0;
  struct Ended {
    int32_t pid;
    uint64_t start;
    std::vector<event::NamespacePids> levels;
  };
  std::vector<Ended> ended_;       // processes that ended in this read
  std::vector<uint32_t> numbers_;  // sequence numbers of datagrams, by CPU
  std::vector<event::NamespacePids> levels_;
  source::Counters past_;  // sum of the closed feeds
  uint64_t past_drains_ = 0;
};

}  // namespace knell::daemon
