// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <deque>
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

  void add(const knell_event& event);
  bool full() const { return waiting_.size() >= kQueue; }
  bool busy() const { return !running_.empty() || !waiting_.empty(); }
  // Reaps the runs that ended and starts the next ones.
  void reap_and_start();
  size_t drop_waiting();
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
  std::deque<Run> waiting_;
  std::unordered_set<pid_t> running_;
  uint64_t runs_ = 0;
  uint64_t failed_ = 0;
  bool failure_reported_ = false;
};

}  // namespace knell::cli
