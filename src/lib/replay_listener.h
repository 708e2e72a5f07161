// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "lib/handle.h"
#include "feed/alarm.h"
#include "process/lineage.h"
#include "wire/recording.h"

namespace knell::lib {

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
  Result<Step> step();
  bool refillable() const;
  uint64_t due_ns(uint64_t mono_ns);
  void learn_ancestors(const knell_event& event);
  void remove_if_exited(const knell_event& event);
  void watch_input(bool watched);

  double speed_;
  wire::RecordingReader reader_;
  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  feed::Alarm alarm_;
  bool is_pipe_ = false;        // the input can be polled
  bool input_watched_ = false;  // the input is in the epoll set

  knell_event next_{};  // read from the recording, not yet returned
  bool has_next_ = false;
  bool refilled_ = false;  // in this read()
  std::optional<Error> end_;
  uint64_t first_ns_ = 0, begun_ns_ = 0;  // timestamp of the first event, and when it was replayed
  process::Lineage lineage_;
  // Chosen, not measured: as many as callers usually read at once.
  static constexpr size_t kSlots = 256;
  std::array<knell_event, kSlots> slots_;
  uint64_t seq_ = 0, lost_ = 0, wakeups_ = 0;
};

}  // namespace knell::lib
