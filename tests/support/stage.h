// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "support/child.h"
#include "support/recorder.h"

namespace knell::test {

// What happened to one process of a scenario, as known by the processes that created it and waited
// for it. Plain data: it is sent through a pipe.
struct Fate {
  pid_t pid = 0;
  pid_t parent = 0;   // when it died
  pid_t born_of = 0;  // the parent that its fork event names
  // the result of waitpid(); if it was not called, the result that it would have had
  int status = 0;
  int execs = 0;  // that succeeded
  int cores = 0;  // number of signals that killed it and write a core
  // The exit code of a thread that exited with another code than its process: a reader may report
  // this code for a process that was reaped before the kernel could be asked. -1: there is no such
  // thread.
  int also = -1;
};
std::string text_of(const Fate& fate);

// One scenario. It runs in the process of the stage, so getpid() is the parent of the processes
// that it forks.
using Scenario = std::function<void(std::vector<Fate>&)>;

// A process that plays a scenario once per request, and reports the fate of each process in it. All
// of them are below it, so `under` with its pid sees them and nothing else. It is a subreaper:
// orphans become its children, never init's.
//
//   Stage stage(play);  Recorder recorder({.matches = {{"under", stage.name()}}});
//   stage.play(recorder);  stage.close_curtain(recorder);  // then all events of the play are
//   recorded
class Stage {
 public:
  static constexpr int kSentinelStatus = 77 << 8;

  explicit Stage(const Scenario& scenario);
  pid_t pid() const { return child_.pid(); }
  std::string name() const { return std::to_string(pid()); }

  // Runs the scenario once while `recorder` reads, and returns the fates. If the process of the
  // stage failed, fails the test and returns nothing.
  std::vector<Fate> play(Recorder& recorder);
  // As play(), but the recorder's listener is not read.
  std::vector<Fate> play_unread();
  // play() in steps: begin(), over() until it returns true, end().
  void begin();
  bool over(std::chrono::milliseconds wait);
  std::vector<Fate> end() { return read_report(); }
  // Makes a child exit with 77 and reads until that exit was received. If it is not received, fails
  // the test and returns false.
  bool sentinel(Recorder& recorder);
  // The pids of the children of sentinel() so far.
  const std::vector<pid_t>& sentinels() const { return sentinels_; }

 private:
  bool send(char command);
  std::vector<Fate> read_report();

  Pipe commands_, reports_;
  Child child_;
  std::vector<pid_t> sentinels_;
};

// For scenarios. They run in children that must not return into gtest: all of these abort on
// errors.
pid_t fork_running(const std::function<int()>& body);
int reap(pid_t pid, int options = 0);
// Sets a function that reap() calls with the wait status while the process is still a zombie; in
// this process only.
void set_before_reaping(std::function<void(pid_t, int)> hook);
// `count` of the shortest possible lives, vfork, _exit and waitpid, one after the other; each `nth`
// exits with `code`, the others with 0.
void storm(int count, int nth, int code);

}  // namespace knell::test
