// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "feed/alarm.h"
#include "lib/handle.h"
#include "lib/replay_listener.h"
#include "process/user_names.h"

namespace knell::lib {

// A listener of the events that knelld has stored: the part that is independent of how they are
// read.
class HistoryListener : public knell_listener {
 public:
  Result<void> match(std::span<const filter::Predicate> more) override;
  Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) override;
  Result<void> remove(pid_t pid) override;
  Result<void> set_events(uint32_t mask) override;
  int fd() const override { return epoll_.get(); }
  Result<int> snapshot(const Visitor&) override {
    return say(EINVAL, "a journal has no processes that are alive now");
  }
  knell_stats stats() const override;
  wire::Origin origin() const override;

 protected:
  enum Tag : uint64_t { kAlarm, kReadable };
  static constexpr size_t kSlots = 256;  // the usual number of events in one read

  explicit HistoryListener(const knell_history_options& options);
  Result<void> open();
  Result<void> poll_readable(int fd) const;

  // Whether the event is wanted. Must be called with all events, in their order, since the
  // ancestors of processes are computed from them. may_want(): decides by the type only.
  bool may_want(uint32_t type, bool nonzero) const;
  bool wants(knell_event& event);
  bool has_roots() const { return has_roots_; }
  void forget_descent();  // call it when the events are read again from the first one
  uint32_t boot() const { return boot_; }
  // Call it for each event in slots_ that is returned.
  void finish(size_t slot);

  knell_history_options options_;
  const Clock& clock_ = system_clock();
  UniqueFd epoll_;
  feed::Alarm alarm_;
  std::array<knell_event, kSlots> slots_;
  uint64_t wakeups_ = 0;

 private:
  uint32_t boot_ = 0;         // this_boot: the boot of the events
  int64_t boot_time_ns_ = 0;  // and its approximate start
  RecordedDescent descent_;
  bool has_roots_ = false;
  process::UserNames users_;
  std::array<process::UserNames::Name, kSlots> names_;  // the user names in slots_
  uint64_t returned_ = 0, lost_ = 0;
};

}  // namespace knell::lib
