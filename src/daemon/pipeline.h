// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "feed/feed.h"
#include "hub/hub.h"
#include "process/births.h"
#include "source/kept.h"
#include "source/registry.h"

namespace knell::daemon {

// One feed, whose events it publishes to the hub; see pipeline.cc. The daemon has two: the pipeline
// of processes, and the pipeline of threads for listeners that want the kernel's thread-level
// events.
class Pipeline final : public process::Births, private source::Sink {
 public:
  enum class Level { kProcesses, kThreads };
  // Called with each event before it is published.
  using OnEvent = std::function<void(event::Batch&, event::Slot&)>;

  // `births`: the pipeline whose births in pid namespaces are used, if its source reports them; may
  // be null. Only those `options` that the configuration has are used.
  Pipeline(Level level, const source::SourceOptions& options, hub::Hub& hub, OnEvent on_event,
           Pipeline* births = nullptr);

  // Keeps the feed for the next daemon, and takes over the feed of the earlier one; see
  // source::Kept. Call before set_interest().
  void keep_in(source::Kept* kept) { kept_ = kept; }
  // Appends the changes to the state. Call saved() when they are committed.
  void save(bool whole);
  void saved();
  // Returns the sequence numbers of datagrams, if they have changed or if `whole`, and marks them
  // as saved.
  std::string take_numbers(bool whole);
  void restore_numbers(std::string_view saved);
  // The time of the last event that was read, or of the opening of the feed if none was; 0: the
  // feed is closed. CLOCK_MONOTONIC.
  uint64_t newest_ns() const { return newest_ns_; }
  // As the earlier daemon saved it; 0: unknown. Call before set_interest().
  void restore_newest(uint64_t newest_ns);
  // Publishes a lost event: an unknown number of events since newest_ns() was lost.
  void publish_gap();

  // Requests these events from now on. Opens the feed if necessary. Errors: the source cannot
  // provide them.
  Result<void> set_interest(const filter::Interest& interest, const filter::Latency& latency);
  // Closes the feed, since no events are needed.
  void close();
  // Closes a feed that failed, and publishes a lost event to its listeners.
  void close_after_failure();
  bool is_open() const { return feed_ != nullptr; }
  // The descriptor to poll. Changes with each open().
  int fd() const { return feed_->fd(); }
  // Reads new events and publishes them. Errors: the source failed, call close() or
  // close_after_failure().
  Result<void> read();
  // Reads and publishes all events up to now, without waiting for the latency budget.
  Result<void> read_now();

  // Whether the source reports births in pid namespaces with the pids there.
  bool reports_births() const override;
  // Whether births are kept until the next read_births(), from now on.
  void keep_births(bool keep);
  // Implements Births: reads all events up to now, without waiting for the latency budget. If that
  // read fails, the next read() returns its error.
  Read read_births(const PassBirth& pass) override;

  // After set_interest(), /proc must be scanned, and the processes under new roots must be found.
  // Each call does a part of that. Returns whether it is finished.
  bool scan_some(ScanBudget& budget);
  Result<bool> scan_under_roots(ScanBudget& budget);

  Result<void> add_pid(int32_t pid, uint64_t start, const filter::Interest& interest);
  void remove_pid(int32_t pid);

  // The next datagram sequence number of this CPU, for an ack: an ack is a datagram but not an
  // event.
  uint32_t next_number(uint32_t cpu);

  const feed::Feed* feed() const { return feed_.get(); }
  const filter::Interest& interest() const { return interest_; }
  const filter::Latency& latency() const { return latency_; }
  // These counters include feeds that were closed.
  uint64_t received() const;
  uint64_t lost() const;
  uint64_t repaired() const;
  std::map<uint32_t, uint64_t> lost_by_types() const;  // see source::Counters
  uint64_t recovered() const;
  uint64_t drains() const;

 private:
  Result<void> open(const filter::Interest& interest, const filter::Latency& latency);
  filter::Stream stream() const {
    return level_ == Level::kProcesses ? filter::Stream::kProcesses : filter::Stream::kThreads;
  }
  Result<void> publish_batch(Result<void> outcome);
  void publish(event::Slot& slot);
  void publish_lost(const event::Raw& raw);

  // Sink
  uint32_t types() const override;
  bool wants_user_names() const override { return false; }
  bool wants(event::Slot& slot, const filter::Ancestry& ancestry) override;
  void on_process_ended(int32_t pid, uint64_t start,
                        std::span<const event::NamespacePids> levels) override;
  void on_thread_event(const event::Raw& raw, const source::Owner& owner) override;
  void on_birth(const process::Birth& birth) override;
  void on_births_lost(uint64_t) override { births_lost_ = true; }

  Level level_;
  source::SourceOptions options_;
  source::Kept* kept_ = nullptr;
  bool unsaved_ = false, unsaved_numbers_ = false;  // changed since save()
  hub::Hub& hub_;
  OnEvent on_event_;
  Pipeline* other_;
  Clock& clock_ = system_clock();
  std::unique_ptr<feed::Feed> feed_;
  filter::Interest interest_;
  filter::Latency latency_;
  uint32_t shown_ = 0;
  std::vector<filter::Root> roots_;  // root i is bit i of event::Slot::note

  struct Ended {
    int32_t pid;
    uint64_t start;
    std::vector<event::NamespacePids> levels;
  };
  std::vector<Ended> ended_;  // processes that ended, as reported during this read
  struct KeptBirth {
    process::Birth birth;
    std::vector<event::NamespacePids> levels;
  };
  std::vector<KeptBirth> births_;  // births since the last read_births()
  bool keeps_births_ = false, births_lost_ = false;
  uint64_t newest_ns_ = 0;         // see newest_ns()
  bool newest_restored_ = false;   // restore_newest() was called, and the feed was not opened yet
  Result<void> failed_;            // the result of a read that read_births() made
  std::vector<uint32_t> numbers_;  // sequence numbers of datagrams, by CPU
  source::Counters past_;          // sum of the counters of closed feeds
  uint64_t past_drains_ = 0, past_recovered_ = 0;
};

}  // namespace knell::daemon
