// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace knell::bench {

enum class StormKind {
  kVfork,  // vfork, _exit, waitpid
  kFork,   // fork, _exit, waitpid
  kExec    // vfork, execve of a program that exits at once, waitpid
};
constexpr std::string_view kStormNames[] = {"vfork", "fork", "exec"};

struct StormOptions {
  StormKind kind = StormKind::kVfork;
  size_t count = 0;
  size_t failing_one_in = 10;  // these exit with status 1, the others with 0; 0: all with 0
  std::string program{};       // kExec: what to execute; empty: harness/tiny.c
  // Open loop: the start times are fixed in advance, so a slow listener does not delay the
  // schedule.
  double per_second = 0;  // rate of processes; 0: as fast as possible
  double jitter = 0;      // each start time is earlier or later by up to this share of a period
};

// The last process of every storm (a burst of processes) exits with this status: a listener that
// reported this process has reported all.
constexpr int kMarkerStatus = 88;

struct ExitedProcess {
  pid_t pid;
  int status;
};

// The processes of a storm, with which the reports of a listener are compared.
struct StormResult {
  uint64_t begin_ns = 0, end_ns = 0;     // the marker comes after end_ns
  std::vector<ExitedProcess> processes;  // without the marker
  bool execs = false;                    // each of them called execve
  pid_t marker = 0;
  uint64_t late = 0;  // started more than a period and a millisecond after their time
};

// Runs on the core of the caller. Ends early when interrupted().
Result<StormResult> run_storm(const StormOptions& options);

}  // namespace knell::bench
