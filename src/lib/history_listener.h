// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "feed/alarm.h"
#include "journal/reader.h"
#include "lib/handle.h"
#include "lib/replay_listener.h"
#include "process/user_names.h"

namespace knell::lib {

// An error of opening a journal, with what to do about it.
Error explained(const Error& error, const std::string& path);

// A listener of the events that knelld has stored.
class HistoryListener final : public knell_listener, private journal::EventFilter {
 public:
  // `options` are valid. Errors: those of knell_open_history().
  static Result<std::unique_ptr<HistoryListener>> create(const std::string& path,
                                                         const knell_history_options& options);

  Result<void> match(std::span<const filter::Predicate> more) override;
  Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) override;
  Result<void> remove(pid_t pid) override;
  Result<void> set_events(uint32_t mask) override;
  int fd() const override { return epoll_.get(); }
  Result<size_t> read(const knell_event** ret_events, size_t count) override;
  Result<int> snapshot(const Visitor&) override {
    return say(EINVAL, "a journal has no processes that are alive now");
  }
  knell_stats stats() const override;
  wire::Origin origin() const override;

 private:
  enum Tag : uint64_t { kAlarm, kChange };

  HistoryListener(const knell_history_options& options, journal::Reader reader);
  Result<void> open();
  Result<void> start();
  void watch_changes();
  bool reopen_if_replaced();
  void finish(knell_event& event);

  // EventFilter
  bool may_want(const journal::Record& record) override;
  bool wants(knell_event& event) override;

  knell_history_options options_;
  journal::Reader reader_;
  ino_t inode_ = 0;  // of the journal
  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  feed::Alarm alarm_;
  UniqueFd changes_;  // inotify(7) of the files; follow only
  bool started_ = false;
  uint32_t boot_ = 0;         // this_boot: the boot of the events
  int64_t boot_time_ns_ = 0;  // and about when it began
  RecordedDescent descent_;
  bool has_roots_ = false;
  process::UserNames users_;
  static constexpr size_t kSlots = 256;  // as many as callers usually read at once
  std::array<knell_event, kSlots> slots_;
  std::array<process::UserNames::Name, kSlots> names_;  // the user names in slots_
  std::array<std::string, kSlots> cursors_;             // the cursors in slots_
  uint64_t returned_ = 0, lost_ = 0, wakeups_ = 0;
};

}  // namespace knell::lib
