// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "filter/interest.h"
#include "filter/predicate.h"
#include "lib/interest.h"
#include "lib/live_pulse.h"
#include "source/pacing.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"
#include "watch/batch.h"
#include "watch/normaliser.h"

// One in-process listener: the wiring of source, normaliser and filter behind the C ABI. See
// listener.cc.
struct knell_listener final : private knell::watch::Outlet, private knell::source::Sink {
 public:
  static knell::Result<std::unique_ptr<knell_listener>> create(const knell_options& options);
  ~knell_listener() override;

  knell::Result<void> match(const char* key, const char* value);
  knell::Result<void> add(pid_t pid, uint64_t start, uint64_t cookie);
  knell::Result<void> remove(pid_t pid);
  knell::Result<void> set_events(uint32_t mask);
  int fd() const { return epoll_.get(); }
  knell::Result<size_t> read(const knell_event** ret_events, size_t count);
  void stats(knell_stats& stats) const;

 private:
  struct Added {
    uint64_t start = 0, cookie = 0;
  };
  struct Due {
    bool source = false, deaths = false, timer = false;
  };

  explicit knell_listener(const knell_options& options);
  knell::Result<void> open(const knell_options& options);

  // What the source is asked for and what is remembered, after anything changed that they follow
  // from.
  knell::Result<void> apply();
  knell::lib::Interest interest() const;
  int64_t budget_ns() const;

  Due wait_for_nothing();
  knell::Result<void> serve(const Due& due);
  knell::Result<void> drain();
  knell::Result<void> settle();
  size_t bound() const;
  size_t hand_out(const knell_event** ret_events, size_t count);
  void arm();
  void set_budget();
  void watch_source(bool watched);

  // Outlet
  uint32_t mask() const override { return shown_; }
  bool wants(knell_event& event, const knell::filter::Ancestry& ancestry) override;
  void over(int32_t pid) override;
  uint64_t roots_of(int32_t pid) override { return source_->roots_of(pid); }
  // Sink
  void on_raw(const knell::event::Raw& raw) override { normaliser_->on_raw(raw); }
  void on_full(const knell::event::Full& full) override { normaliser_->on_full(full); }
  void on_cgroup(uint64_t inode, std::string_view path) override {
    normaliser_->on_cgroup(inode, path);
  }
  void on_over(int32_t pid, uint64_t stamp_ns, bool status_known, int32_t wait_status) override {
    normaliser_->on_over(pid, stamp_ns, status_known, wait_status);
  }

  uint32_t asked_mask_, shown_ = 0, level_, details_;
  int64_t latency_ns_;
  knell::filter::Predicates predicates_;
  knell::PidMap<Added> added_;
  bool only_added_ = false;  // from the first add on, also when all of them are gone

  knell::Clock& clock_ = knell::system_clock();
  knell::UniqueFd epoll_, timer_;
  std::optional<knell::watch::ProcReader> proc_;
  knell::watch::Batch batch_;
  std::optional<knell::lib::LivePulse> pulse_;
  std::optional<knell::watch::Normaliser> normaliser_;
  std::unique_ptr<knell::source::Source> source_;
  knell::source::PidfdSource* pidfds_ = nullptr;  // source_, when that is what it is
  knell::source::Pacer pacer_{0};
  int64_t paced_by_ns_ = -1;  // the pacer's budget; -1: none set yet
  uint32_t kernel_mask_ = 0;
  bool whole_ = false;  // the source sends whole processes
  bool source_watched_ = false;
  bool more_ = false;       // the source was not read empty
  uint64_t armed_ns_ = 0;   // what the timer is set to; 0: off
  uint64_t health_ns_ = 0;  // when the source is to be looked at; 0: never
  size_t sweep_ = 0;        // how many old entries the next drain looks at
  size_t next_ = 0;         // the first slot not handed out
  uint64_t seq_ = 0, wakeups_ = 0, drains_ = 0;
};
