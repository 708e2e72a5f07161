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
#include <utility>
#include <vector>

#include "cli/signals.h"

namespace knell::cli {

// How `watch --exec` runs CMD.
struct HookOptions {
  size_t jobs = 8;  // runs at a time. Chosen, not measured: enough to hide a slow CMD
  std::chrono::nanoseconds timeout{};  // after which a run is ended by a signal; 0: none
  // The maximum number of events that are passed to CMD in a minute; at the end of a minute with
  // more events, CMD runs once with the number of the others. 0: no limit.
  size_t events_a_minute = 0;
  bool retry = false;  // run CMD again if it fails, kRetries times
};

// `watch --exec CMD ARG...`: runs CMD for each event, without a shell, with the event as JSON on
// its standard input and the main fields in KNELL_* variables. Events of one process are passed in
// order: the next one waits until the run of the one before has ended. At kQueue events full() is
// true, and the caller reads no more events from the listener: they wait in the source's buffer,
// where a loss is counted and reported, or in the journal.
class Hook {
 public:
  static constexpr size_t kQueue = 4096;  // chosen, not measured: some 10 MB
  static constexpr int kRetries = 3;

  // Errors: kUsage: CMD cannot be found. `signals` must outlive the Hook.
  static Outcome<Hook> create(std::vector<std::string> command, const HookOptions& options,
                              const Signals& signals);

  // An event with a cursor that is not done yet is not passed to CMD a second time.
  void add(const knell_event& event);
  bool full() const { return events_.size() >= kQueue; }
  bool busy() const;
  // Reaps the runs that ended, ends those that take too long, and starts the next ones.
  void reap_and_start();
  size_t drop_waiting();
  // No event follows: the minute ends now.
  void end_minute();
  // When reap_and_start() must be called although no signal came; nullopt: not for that.
  std::optional<std::chrono::steady_clock::time_point> due() const;
  std::string summary() const;  // "12 runs of mail, 1 failed, 2 still running"

  // The cursor of the newest event of which, and of all before it, CMD has succeeded or finally
  // failed; empty: nothing since the last call.
  std::string take_done();
  // The number of events for which CMD finally failed, since the last call.
  size_t take_failed() { return std::exchange(given_up_, 0); }

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : uint8_t { kWaiting, kRunning, kSettled };
  struct Event {
    std::string json;
    std::vector<std::string> variables;
    std::string process;  // events with the same text run in order; empty: with no other
    std::string cursor;
    State state = State::kWaiting;
    int failures = 0;
    Clock::time_point not_before{};  // kWaiting, after a failure
  };
  struct Run {
    pid_t pid = 0;
    uint64_t event = 0;            // its number, see first_
    Clock::time_point deadline{};  // when it is ended; none: without a timeout
    bool asked = false;            // SIGTERM was sent
  };
  Hook(std::vector<std::string> command, std::string path, const HookOptions& options,
       const Signals& signals)
      : command_(std::move(command)),
        path_(std::move(path)),
        options_(options),
        signals_(&signals) {}
  void start(uint64_t number);
  int spawn(int input, const Event& event, pid_t& pid) const;
  void reap();
  void end_late();
  void on_ended(uint64_t number, bool failed);
  void pop_done();
  size_t waiting() const;

  std::vector<std::string> command_;
  std::string path_;
  HookOptions options_;
  const Signals* signals_;
  Clock::time_point minute_ends_;
  size_t in_minute_ = 0;      // events passed to CMD
  uint64_t skipped_ = 0;      // further events of this minute
  std::deque<Event> events_;  // in order; the first one is not done
  uint64_t first_ = 0;        // the number of the first one
  std::vector<Run> running_;
  uint64_t dropped_below_ = 0;  // waiting events with lower numbers are not started
  std::string done_;
  size_t given_up_ = 0;
  uint64_t runs_ = 0;
  uint64_t failed_ = 0;
  bool failure_reported_ = false;
};

}  // namespace knell::cli
