// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <string>

#include "cli/screen.h"
#include "cli/summary.h"
#include "cli/tree.h"

namespace knell::cli {

// How CMD ended, in words: what is left of an event that does not stay.
struct CommandExit {
  std::string ended;  // "SIGKILL oom"
  std::string cause;  // " <- kill by 8103 bash (root)", or ""
  std::string json;   // `"core_dumped":false,"killed_by":null,"last_signal":null`
};
CommandExit describe_exit(const knell_event& exit);

// What `run` says at the end.
struct RunResult {
  std::string name;  // of the command, as it was typed
  int wait_status = 0;
  CommandExit exit;
  std::chrono::nanoseconds took{};
  uint64_t processes = 0;
  uint64_t failed = 0;  // under it, itself not counted
  uint64_t still_running = 0;
  Losses losses;
  uint32_t scope = KNELL_SCOPE_ALL;  // which processes could be seen: enum knell_scope
  uint32_t scope_uid = 0;

  // Whether `processes` and `failed` are all there were, as far as `losses` has numbers.
  bool complete() const { return scope != KNELL_SCOPE_USER && losses.counted(); }
};

// The lines of `knell run`, for people or as JSON.
class Report {
 public:
  Report(bool json, const Screen& screen) : json_(json), screen_(screen) {}

  void add(const knell_event& event, const Tree& tree, std::string& out) const;
  void close(const RunResult& result, std::string& out) const;

 private:
  void add_text(const knell_event& event, const Tree& tree, std::string& out) const;
  void add_json(const knell_event& event, const Tree& tree, std::string& out) const;

  bool json_;
  Screen screen_;
};

// An exit without a process: to tell a wait status in the library's words.
knell_event exit_with(int wait_status);
// What a shell makes of a wait status: the code, or 128 + signal.
int shell_status(int wait_status);

}  // namespace knell::cli
