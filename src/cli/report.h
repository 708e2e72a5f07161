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

// How CMD ended, as text that outlives the event.
struct CommandExit {
  std::string ended;  // "SIGKILL oom"
  std::string cause;  // " <- kill by 8103 bash (root)", or ""
  std::string json;   // `"core_dumped":false,"killed_by":null,"last_signal":null`
};
CommandExit describe_exit(const knell_event& exit);

// The contents of the closing line of `run`.
struct RunResult {
  std::string name;  // the command as typed
  int wait_status = 0;
  CommandExit exit;
  std::chrono::nanoseconds took{};
  uint64_t processes = 0;
  uint64_t failed = 0;  // processes under CMD, without CMD itself
  uint64_t still_running = 0;
  Losses losses;
  uint32_t scope = KNELL_SCOPE_ALL;  // enum knell_scope: which processes could be seen
  uint32_t scope_uid = 0;
  uint32_t via = KNELL_VIA_AUTO;  // enum knell_via: where the events come from
  std::string traced_because;     // KNELL_VIA_PTRACE: why no other source is used
  // KNELL_VIA_PTRACE: execs with KNELL_FLAG_PRIVILEGES_WITHHELD, KNELL_FLAG_NOT_FOLLOWED
  uint64_t privileges_withheld = 0, not_followed = 0;

  // Whether `processes` and `failed` are complete, apart from the losses counted in `losses`.
  bool complete() const { return scope != KNELL_SCOPE_USER && losses.counted(); }
};

// Formats the report of `knell run`, as text or as JSON.
class Report {
 public:
  Report(bool json, const Screen& screen) : json_(json), screen_(screen) {}

  // The first line, if CMD is traced: that it is, and why.
  void begin(const RunResult& result, std::string& out) const;
  void add(const knell_event& event, const Tree& tree, std::string& out) const;
  void close(const RunResult& result, std::string& out) const;

 private:
  void add_text(const knell_event& event, const Tree& tree, std::string& out) const;
  void add_json(const knell_event& event, const Tree& tree, std::string& out) const;

  bool json_;
  Screen screen_;
};

// An exit event that has nothing but a wait status, so that ended() can format the status.
knell_event exit_with(int wait_status);
// The status that a shell reports for a wait status: the exit code, or 128 + signal.
int shell_status(int wait_status);

}  // namespace knell::cli
