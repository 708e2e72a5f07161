// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/unique_fd.h"
#include "feed/alarm.h"
#include "lib/handle.h"
#include "process/root_set.h"
#include "wire/recording.h"

namespace knell::lib {

// The descent from the roots that `under` names, as the events of a recording show it.
class RecordedDescent final : public filter::Ancestry {
 public:
  // False: there are RootSet::kMost roots already.
  bool follow(const filter::Root& root) {
    const uint64_t known = roots_.bit_of(root);
    const uint64_t bit = known != 0 ? known : roots_.add(root, UINT64_MAX);
    if (bit != 0) *under_.emplace(root.pid).first |= bit;
    return bit != 0;
  }
  void on_fork(int32_t pid, int32_t parent, uint64_t stamp_ns) {
    if (roots_.empty() || pid <= 0) return;
    const uint64_t bits = roots_of(parent) | roots_.own_bit(pid, stamp_ns);
    if (bits != 0)
      *under_.emplace(pid).first = bits;
    else
      under_.erase(pid);
  }
  // Learns ancestors from an event: the child of a fork, or the parent of the event's process.
  void learn(const knell_event& event) {
    if (event.ppid > 0 && roots_of(event.pid) == 0) on_fork(event.pid, event.ppid, event.mono_ns);
    if (event.type == KNELL_EVENT_FORK && event.child_pid != event.pid)
      on_fork(event.child_pid, event.pid, event.mono_ns);
  }
  void on_exit(int32_t pid) { under_.erase(pid); }
  uint64_t roots_of(int32_t pid) const {
    const uint64_t* bits = under_.find(pid);
    return bits == nullptr ? 0 : *bits;
  }
  bool is_under(const filter::Root& root, const knell_event& event) const override {
    return (roots_of(event.pid) & roots_.bit_of(root)) != 0;
  }

 private:
  process::RootSet roots_;
  PidMap<uint64_t> under_;
};

// A listener of a recording. Its events are complete: they only need filtering and pacing.
class ReplayListener final : public knell_listener {
 public:
  static Result<std::unique_ptr<ReplayListener>> create(const char* path,
                                                        const knell_replay_options& options);

  Result<void> match(std::span<const filter::Predicate> more) override;
  Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) override;
  Result<void> remove(pid_t pid) override;
  Result<void> set_events(uint32_t mask) override;
  int fd() const override { return epoll_.get(); }
  Result<size_t> read(const knell_event** ret_events, size_t count) override;
  Result<int> snapshot(const Visitor&) override {
    return say(EINVAL, "a recording has no processes that are alive now");
  }
  knell_stats stats() const override;
  wire::Origin origin() const override;
  const wire::Origin* recording() const override { return &reader_.origin(); }

 private:
  enum class Step { kEvent, kWait };

  ReplayListener(const knell_replay_options& options, wire::RecordingReader reader);
  Result<void> open();
  Result<void> read(const knell_event** ret_events, size_t count, size_t& n);
  Result<Step> step();
  bool refillable() const;
  uint64_t due_ns(const knell_event& event, uint64_t now_ns);
  uint64_t later(uint64_t from_ns, uint64_t recorded_ns) const;
  void remove_if_exited(const knell_event& event);
  void watch_input(bool watched);

  double speed_;
  wire::RecordingReader reader_;
  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  feed::Alarm alarm_;
  bool is_pipe_ = false;        // the input is a pipe, which can be polled
  bool input_watched_ = false;  // the input is in the epoll set

  knell_event next_{};  // read from the recording, not yet returned
  bool has_next_ = false;
  bool refilled_ = false;  // in this read()
  std::optional<Error> end_;
  // The recording in work: its number, the timestamp of its first event, and when that is due.
  uint64_t recording_ = 0, first_ns_ = 0, begun_ns_ = 0;
  // The last event: when it was or is due, and its time of day.
  uint64_t last_due_ns_ = 0;
  int64_t last_time_ns_ = 0;
  RecordedDescent descent_;
  // Chosen, not measured: as many events as callers usually read at once.
  static constexpr size_t kSlots = 256;
  std::array<knell_event, kSlots> slots_;
  uint64_t seq_ = 0, lost_ = 0, wakeups_ = 0;
};

}  // namespace knell::lib
