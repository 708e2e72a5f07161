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
#include "cli/format.h"
#include "cli/hook.h"
#include "cli/listen.h"
#include "cli/output_buffer.h"
#include "cli/signals.h"
#include "cli/summary.h"
#include "cli/tally.h"
#include "cli/view.h"

namespace knell::cli {

// What `watch` is to do, from its flags.
struct WatchPlan {
  Options options;
  Selection selection;
  OutputFormat output;
  bool show = true;             // false with --exec, unless -o was typed
  bool print_messages = true;   // print a headline and a summary on standard error
  int out = STDOUT_FILENO;      // where the output goes; its reader may go away
  std::string read;             // the recording or journal to read; empty: live events
  std::string durable, cursor;  // of the durable listener; options point to them. Empty: none
  double speed = 0;             // of the recording; 0: as fast as possible
  uint64_t count = UINT64_MAX;
  std::optional<std::chrono::nanoseconds> duration;
  std::vector<Key> by;
  std::chrono::nanoseconds interval{};
};

// If the daemon went away and has not come back, prints that and returns a lost event without a
// count, until now, as the listener would have reported it later. For a caller that is about to
// end.
std::optional<knell_event> loss_at_end(const Listener& listener);

// The flags that say when a stream of events ends.
struct EndFlags {
  std::string count, duration;

  void add_options(CommandLine& line);
  // Checks them, and sets them in the plan.
  Outcome<void> set(WatchPlan& plan) const;
};
// Parses -o as typed into `plan`, whose `by` is known; empty: not given.
Outcome<void> parse_output_option(WatchPlan& plan, const std::string& text);
// Drops all capabilities but `kept`.
Outcome<void> drop_privileges(std::initializer_list<int> kept);

// One run of `watch`, from the open listener to the summary.
class Watching {
 public:
  // `view`: how events are shown; nullptr: as the plan says. `hook`: nullptr without --exec. The
  // plan, the listener, the signals and the hook must outlive it.
  Watching(const WatchPlan& plan, Listener& listener, Signals& signals, Hook* hook,
           std::unique_ptr<View> view = nullptr);
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  Outcome<int> run();
  const Summary& summary() const { return summary_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Loop { kContinue, kEnd, kReaderGone };

  void print_headline() const;
  Outcome<Loop> turn();
  Outcome<bool> read_events(uint64_t until_mono_ns = UINT64_MAX, bool* later = nullptr);
  void take(const knell_event& event);
  Outcome<Loop> write();
  void acknowledge();
  void acknowledge(const std::string& cursor);
  Outcome<Loop> finish();
  void finish_hook();
  int wait_ms() const;
  bool ended() const;
  void print_summary() const;

  const WatchPlan& plan_;
  Listener& listener_;
  Signals& signals_;
  Hook* hook_;
  OutputBuffer out_;
  std::optional<Failure> read_failure_;  // why reading the listener failed
  bool at_end_ = false;                  // the end of the recording was reached
  bool reader_gone_ = false;
  std::string cursor_;  // durable: of the last event that was taken and is not acknowledged
  bool terminal_;
  std::unique_ptr<View> view_;
  Summary summary_;
  Clock::time_point started_;
  Clock::time_point next_tick_;
};

}  // namespace knell::cli
