// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "cli/signals.h"

namespace knell::cli {

// `watch --exec CMD ARG...`: runs CMD for each event, without a shell, with the event as JSON on
// its standard input and the main fields in KNELL_* variables. At most kMostRunning runs at a time.
// At kQueue waiting events full() is true, and the caller reads no more events from the listener:
// they wait in the source's buffer, where a loss is counted and reported.
class Hook {
 public:
  // Chosen, not measured: enough to hide a slow CMD, too few to flood the machine.
  static constexpr size_t kMostRunning = 16;
  static constexpr size_t kQueue = 4096;  // chosen, not measured: some 10 MB

  // Errors: kUsage: CMD cannot be found. `signals` must outlive the Hook.
  static Outcome<Hook> create(std::vector<std::string> command, const Signals& signals);
  // At most so many events a minute are passed to CMD; at the end of a minute with more, CMD runs
  // once with their number. 0: no limit.
  void set_limit(size_t events_a_minute) { limit_ = events_a_minute; }

  void add(const knell_event& event);
  bool full() const { return waiting_.size() >= kQueue; }
  bool busy() const { return !running_.empty() || !waiting_.empty(); }
  // Reaps the runs that ended and starts the next ones.
  void reap_and_start();
  size_t drop_waiting();
  // No event follows: the minute ends now.
  void end_minute();
  // When reap_and_start() must be called for the end of the minute; nullopt: not for that.
  std::optional<std::chrono::steady_clock::time_point> minute_ends() const;
  std::string summary() const;  // "12 runs of mail, 1 failed, 2 still running"

 private:
  struct Run {
    std::string json;
    std::vector<std::string> variables;
  };
  Hook(std::vector<std::string> command, std::string path, const Signals& signals)
      : command_(std::move(command)), path_(std::move(path)), signals_(&signals) {}
  void start(const Run& run);
  int spawn(int input, const Run& run, pid_t& pid) const;
  void reap();

  std::vector<std::string> command_;
  std::string path_;
  const Signals* signals_;
  size_t limit_ = 0;
  std::chrono::steady_clock::time_point minute_ends_;
  size_t in_minute_ = 0;  // events passed to CMD
  uint64_t skipped_ = 0;  // further events of this minute
  std::deque<Run> waiting_;
  std::unordered_set<pid_t> running_;
  uint64_t runs_ = 0;
  uint64_t failed_ = 0;
  bool failure_reported_ = false;
};

}  // namespace knell::cli
