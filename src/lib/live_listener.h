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
#include "filter/interest.h"
#include "lib/alarm.h"
#include "lib/choice.h"
#include "lib/interest.h"
#include "lib/listener.h"
#include "lib/live_pulse.h"
#include "source/pacing.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"
#include "watch/batch.h"
#include "watch/normaliser.h"

namespace knell::lib {

// A listener to this machine's processes, in-process: the wiring of source, normaliser and filter.
// See live_listener.cc.
class LiveListener final : public knell_listener, private watch::Outlet, private source::Sink {
 public:
  static Result<std::unique_ptr<LiveListener>> create(const knell_options& options);
  ~LiveListener() override;

  Result<void> match(const char* key, const char* value) override;
  Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) override;
  Result<void> remove(pid_t pid) override;
  Result<void> set_events(uint32_t mask) override;
  int fd() const override { return epoll_.get(); }
  Result<size_t> read(const knell_event** ret_events, size_t count) override;
  knell_stats stats() const override;
  wire::Origin origin() const override;

 private:
  struct Due {
    bool source = false, deaths = false, timer = false;
  };

  explicit LiveListener(const knell_options& options);
  Result<void> open(const knell_options& options);

  // What the source is asked for and what is remembered, after anything changed that they follow
  // from.
  Result<void> apply();
  Interest interest() const;
  int64_t budget_ns() const;

  Due wait_for_nothing();
  Result<void> serve(const Due& due);
  Result<void> drain();
  Result<void> settle();
  size_t bound() const;
  size_t hand_out(const knell_event** ret_events, size_t count);
  void arm();
  void set_budget();
  uint32_t via() const;
  void watch_source(bool watched);

  // Outlet
  uint32_t mask() const override { return shown_; }
  bool wants(knell_event& event, const filter::Ancestry& ancestry) override;
  void over(int32_t pid, uint64_t start) override;
  uint64_t roots_of(int32_t pid) override { return source_->roots_of(pid); }
  // Sink
  void on_raw(const event::Raw& raw) override { normaliser_->on_raw(raw); }
  void on_full(const event::Full& full) override { normaliser_->on_full(full); }
  void on_cgroup(uint64_t inode, std::string_view path) override {
    normaliser_->on_cgroup(inode, path);
  }
  void on_over(int32_t pid, uint64_t stamp_ns, bool status_known, int32_t wait_status) override {
    normaliser_->on_over(pid, stamp_ns, status_known, wait_status);
  }

  Choice choice_;
  uint32_t shown_ = 0, level_, details_;
  int64_t latency_ns_;

  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  Alarm alarm_;
  std::optional<watch::ProcReader> proc_;
  watch::Batch batch_;
  std::optional<LivePulse> pulse_;
  std::optional<watch::Normaliser> normaliser_;
  std::unique_ptr<source::Source> source_;
  source::PidfdSource* pidfds_ = nullptr;  // source_, when that is what it is
  source::Pacer pacer_{0};
  int64_t paced_by_ns_ = -1;  // the pacer's budget; -1: none set yet
  uint32_t kernel_mask_ = 0;
  bool whole_ = false;  // the source sends whole processes
  bool source_watched_ = false;
  bool more_ = false;       // the source was not read empty
  uint64_t health_ns_ = 0;  // when the source is to be looked at; 0: never
  size_t sweep_ = 0;        // how many old entries the next drain looks at
  size_t next_ = 0;         // the first slot not handed out
  uint64_t seq_ = 0, wakeups_ = 0, drains_ = 0;
};

}  // namespace knell::lib
