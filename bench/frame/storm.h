// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/frame/failure.h"

namespace knell::bench {

enum class StormKind {
  kVfork,   // vfork, _exit, waitpid: the cheapest process there is
  kFork,    // fork, _exit, waitpid
  kExec,    // vfork, execve of a program that ends at once, waitpid
  kThread,  // threads of one process, created and joined: no process ends
  kBurst    // held processes that are all let go at once
};
std::string_view storm_name(StormKind kind);  // "vfork"
std::optional<StormKind> storm_of(std::string_view name);

// A process that ends with this status comes after each storm: who told of it has told of all.
constexpr int kMarkerStatus = 88;

struct Ended {
  pid_t pid;
  int status;  // that it gave to _exit()
};

// What a storm was, and so what a listener should have heard.
struct Blow {
  uint64_t begin_ns = 0, end_ns = 0;  // CLOCK_MONOTONIC; the marker comes after end_ns
  std::vector<Ended> processes;       // without the marker; none for threads
  bool execs = false;                 // each of them did an execve (not the marker)
  pid_t marker = 0;
  uint64_t count = 0;  // of processes, or threads: what to divide by
};

// One storm: prepare(), any pause, blow(). It blows on the core its caller is pinned to, and ends
// early when interrupted().
class Storm {
 public:
  // One in `failing_one_in` ends with status 1, the rest with 0; 0: all with 0. Exec: `program`,
  // empty: a tiny one of our own, which always ends with 0.
  Storm(StormKind kind, size_t count, size_t failing_one_in, std::string program = "");
  ~Storm();
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  StormKind kind() const { return kind_; }
  size_t count() const { return count_; }

  Outcome<void> prepare();  // burst: forks and holds
  Outcome<Blow> blow();     // the marker included

 private:
  int status_of(size_t index) const;
  Outcome<void> blow_processes(Blow& blow);
  Outcome<void> blow_threads(Blow& blow);
  Outcome<void> blow_held(Blow& blow);
  void end_held();

  StormKind kind_;
  size_t count_, failing_one_in_;
  std::string program_;
  bool is_tiny_;  // program_ is ours, and its status too
  std::vector<pid_t> held_;
  int release_ = -1;  // the pipe the held ones wait at; closing it lets them go
};

// A child that ends with `status` and is reaped; its pid.
Outcome<pid_t> end_one(int status);

}  // namespace knell::bench
