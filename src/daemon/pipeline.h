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

// One feed, whose events go to the hub with what decides who may see them; see pipeline.cc. There
// are two: of whole processes, and of threads for those who want what the kernel sends.
class Pipeline final : private watch::EventFilter, private live::SourceObserver {
 public:
  enum class Level { kProcesses, kThreads };
  // Called with each event before anybody is shown it.
  using Before = std::function<void(watch::Batch&, watch::Slot&)>;
  // Called with what a source of whole processes says.
  using OnFull = std::function<void(const event::Full&)>;

  // `via`: as knell_options.via.
  Pipeline(Level level, uint32_t via, hub::Hub& hub, Before before);

  // What is wanted from now on; opens the feed if it must. Errors: it cannot be given.
  Result<void> ask(const filter::Interest& interest, int64_t latency_ns);
  // Nothing is wanted.
  void close();
  // The feed is of no use any more: closes it, and tells everybody who listened to it.
  void break_off();
  bool is_open() const { return feed_ != nullptr; }
  // Changes with each open().
  int fd() const { return feed_->fd(); }
  // What came since, to the hub. Errors: it came to an end; to be closed.
  Result<void> read();
  // The same up to this moment, due or not.
  Result<void> read_now();

  // Whose the events of the feed are is to be followed, with the numbers of pid namespaces or
  // without: for listeners who may see some of them only.
  void follow_task_ids(bool uids, bool levels);
  bool follows_task_ids() const { return task_ids_ != nullptr; }
  bool follows_levels() const { return by_level_; }
  void set_on_full(OnFull on_full) { on_full_ = std::move(on_full); }
  // Reads all births that another source has seen: they come to on_birth(). Returns whether that
  // source reports every birth inside a pid namespace.
  using ReadBirths = std::function<bool()>;
  void set_read_births(ReadBirths read_births) { read_births_ = std::move(read_births); }
  // Births that another source saw.
  void on_birth(const event::Full& full);
  void on_births_lost(uint64_t count) override;
  // Called when births were lost that on_full() would have been called with.
  void set_on_births_lost(std::function<void(uint64_t)> f) { on_births_lost_ = std::move(f); }

  // What ask() and follow_task_ids() leave to be read in /proc, and what is under roots that were
  // asked for, is found in pieces: one of them; whether it was the last.
  bool scan_some(ScanBudget& budget);
  Result<bool> look_under_roots(ScanBudget& budget);

  Result<void> add_pid(int32_t pid, uint64_t start, const filter::Interest& interest);
  void remove_pid(int32_t pid);

  // For acks: of a datagram that is not an event, on this CPU.
  uint32_t next_number(uint32_t cpu);
  std::optional<event::Raw> translate(const event::Raw& raw, uint32_t ns);

  const live::Feed* feed() const { return feed_.get(); }
  const filter::Interest& interest() const { return interest_; }
  int64_t latency_ns() const { return latency_ns_; }
  const std::string& why_not() const { return why_not_; }  // of the last open that failed
  // Of closed feeds too.
  uint64_t received() const;
  uint64_t lost() const;
  uint64_t healed() const;
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
  bool look_for_births_before(uint64_t stamp_ns);
  Result<void> publish_batch(Result<void> outcome);
  uint32_t heard() const;
  std::span<const event::Level> levels_of(const event::Raw& raw, bool& known);

  // EventFilter
  uint32_t mask() const override;
  bool wants(watch::Slot& slot, const filter::Ancestry& ancestry) override;
  void over(int32_t pid, uint64_t start) override;
  uint64_t roots_of(int32_t pid) override { return feed_->roots_of(pid); }
  // SourceObserver
  void on_raw(const event::Raw& raw) override;
  void on_full(const event::Full& full) override;

  Level level_;
  uint32_t via_;
  hub::Hub& hub_;
  Before before_;
  OnFull on_full_;
  std::function<void(uint64_t)> on_births_lost_;
  ReadBirths read_births_;
  uint64_t newest_ns_ = 0;       // the stamp handed over last
  uint64_t births_read_ns_ = 0;  // all told before is known
  Clock& clock_ = system_clock();
  std::unique_ptr<live::Feed> feed_;
  filter::Interest interest_;
  int64_t latency_ns_ = 0;
  uint32_t shown_ = 0;
  std::vector<int32_t> roots_;  // bits of watch::Slot::note
  std::string why_not_;

  std::optional<watch::ProcReader> proc_;
  std::unique_ptr<watch::TaskIds> task_ids_;
  bool by_level_ = false;
  uint64_t swept_ns_ = 0;
  struct Over {
    int32_t pid;
    uint64_t start;
    std::vector<event::Level> levels;
  };
  std::vector<Over> over_;         // of this read
  std::vector<uint32_t> numbers_;  // of datagrams, by CPU
  std::vector<event::Level> levels_;
  source::Counters past_;  // of feeds that were closed
  uint64_t past_drains_ = 0;
};

}  // namespace knell::daemon
