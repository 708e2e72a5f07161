// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <knell/knell.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/command_line.h"
#include "cli/failure.h"
#include "cli/format.h"

namespace knell::cli {

// Which events the user wants, as typed: -e and the predicates, the same for every subcommand that
// opens a listener. All words are checked before anything is opened.
class Selection {
 public:
  void add_events_option(CommandLine& line, const std::string& help);
  void add_predicate_options(CommandLine& line);
  // Adds only the predicates that can match a living process.
  void add_live_predicate_options(CommandLine& line);

  // The mask of -e, or `unless_given` where -e was not typed.
  Outcome<uint32_t> events(uint32_t unless_given) const;
  bool events_given() const { return !events_.empty(); }
  // Checks the values of all predicates, and that an event of `mask` can match them. A process that
  // is named must exist, unless `present`, the selection in use, has it with --pid: it may have
  // ended.
  Outcome<void> check(uint32_t mask, const Selection* present = nullptr) const;
  Outcome<void> apply(Listener& listener) const;
  // "all processes", or "processes with --unit cron --uid 0"; `scope` (of scope_text()) follows the
  // word "processes".
  std::string describe_processes(std::string_view scope = {}) const;
  bool empty() const;
  // The predicates as words of a command line: "--unit cron --uid 0".
  std::string text() const;
  // Parses predicates that were typed as on a command line; quotes and \ as in a shell.
  static Outcome<Selection> parse(std::string_view text);
  bool has(std::string_view key) const;
  // The events come from a recording, so check() looks up no processes on this machine.
  void set_recorded() { live_ = false; }

 private:
  struct Predicate {
    std::string flag;  // as typed: "--exit-code"
    std::string key;   // the key of knell_match(): "ended"
    std::vector<std::string> values;
  };
  void add_predicate_options(CommandLine& line, bool of_ends);
  bool names(std::string_view key, std::string_view word) const;
  Outcome<void> check_exits(uint32_t mask) const;
  Outcome<std::string> library_words(const std::string& flag, const std::string& value) const;

  std::vector<std::string> events_;
  std::vector<Predicate> predicates_;
  bool live_ = true;
};

// The flags that say how to open a listener.
struct ListenFlags {
  std::string via = "auto";
  std::string details;
  std::string latency;
  std::string buffer, args;
  bool threads = false, recover = false;

  void add_options(CommandLine& line);
  Outcome<Options> options(uint32_t mask) const;
  // The first of these flags that was typed, or "".
  std::string_view given() const;
};

// The help of -e: the names of the events, and what is meant where it is not typed.
std::string events_help(std::string_view unless_given);
// Parses the value of -n.
Outcome<uint64_t> parse_count(const std::string& text);
// The pids that were typed, without repeats.
Outcome<std::vector<pid_t>> parse_pids(const std::vector<std::string>& words);

// Opens a listener. Errors: kNothingHere when nothing can be observed here; kUsage; kFailed.
Outcome<Listener> open_listener(const Options& options);
// Opens a recording. Errors: kFailed; kDone when this process is to end (Signals::ending()) before
// the recording has begun.
Outcome<Listener> open_recording(const std::string& path, const ReplayOptions& options);

}  // namespace knell::cli
