// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <knell/knell.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/failure.h"
#include "cli/hook.h"
#include "cli/listen.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/summary.h"
#include "cli/tally.h"
#include "cli/view.h"

namespace knell::cli {

// What the flags of `watch` come to.
struct WatchPlan {
  Options options;
  Selection selection;
  bool json = false;
  bool show = true;         // not with --exec, unless -o asks for it
  bool say = true;          // what is watched, and a summary, for people
  int out = STDOUT_FILENO;  // where it goes: whoever reads it may go away
  std::string read;         // a recording to read in place of the kernel's events
  double speed = 0;         // of it
  uint64_t count = UINT64_MAX;
  std::optional<std::chrono::nanoseconds> duration;
  std::vector<Key> by;
  std::chrono::nanoseconds interval{};
};

// Where the daemon went away and was not back in time: says so, and gives a lost event without a
// count, as the listener would have told it. For whoever is about to say how much was lost.
std::optional<knell_event> missed_at_the_end(const Listener& listener);

// -n and -d, as typed; empty: not given.
Outcome<void> plan_end(WatchPlan& plan, const std::string& count_text,
                       const std::string& duration_text);
// Gives back the capabilities that are not needed any more.
Outcome<void> drop_privileges(std::initializer_list<int> kept);

// One run of it, from the open listener to the summary.
class Watching {
 public:
  // `view`: how it is shown; nullptr: as the plan says.
  Watching(const WatchPlan& plan, Listener& listener, Signals& signals, Hook* hook,
           std::unique_ptr<View> view = nullptr);
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  Outcome<int> run();
  const Summary& summary() const { return summary_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Go { kOn, kEnd, kReaderGone };

  void say_what() const;
  Outcome<Go> turn();
  Outcome<bool> read_events(uint64_t until_mono_ns = UINT64_MAX, bool* later = nullptr);
  void take(const knell_event& event);
  Outcome<Go> write();
  Outcome<Go> finish();
  void finish_hook();
  int wait_ms() const;
  bool ended() const;
  void say_summary() const;

  const WatchPlan& plan_;
  Listener& listener_;
  Signals& signals_;
  Hook* hook_;
  Output out_;
  std::optional<Failure> broke_;  // how the stream ended, when not by our will
  bool over_ = false;             // the recording has been read
  bool reader_gone_ = false;
  bool terminal_;
  std::unique_ptr<View> view_;
  Summary summary_;
  Clock::time_point started_;
  Clock::time_point next_tick_;
};

}  // namespace knell::cli
