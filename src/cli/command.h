// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/command_line.h"
#include "cli/failure.h"

namespace knell::cli {

// One subcommand: the options it takes, and what it does with them.
class Command {
 public:
  // Where the user's command, whose words knell does not parse, begins on the command line.
  enum class Tail { kNone, kAfterExecOption, kAfterOptions };

  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  virtual std::string_view name() const = 0;
  virtual std::string_view synopsis() const = 0;  // "[OPTIONS] -- CMD ARG..."
  virtual std::string_view summary() const = 0;   // one line
  virtual std::string_view notes() const = 0;     // below the options: exit status, examples
  virtual Tail tail() const { return Tail::kNone; }
  // Whether its exit status is that of some process, so that a failure of knell itself must be
  // kKnellFailed.
  virtual bool ends_with_process_status() const { return false; }

  virtual void add_options(CommandLine& line) = 0;
  // `tail`: the words of the user's command; empty without one. Returns the exit status.
  virtual Outcome<int> execute(std::vector<std::string> tail) = 0;
};

std::unique_ptr<Command> make_watch();
std::unique_ptr<Command> make_record();
std::unique_ptr<Command> make_history();
std::unique_ptr<Command> make_run();
std::unique_ptr<Command> make_wait();
std::unique_ptr<Command> make_kill();
std::unique_ptr<Command> make_tree();
std::unique_ptr<Command> make_top();
std::unique_ptr<Command> make_timeline();
std::unique_ptr<Command> make_status();
std::unique_ptr<Command> make_durable();
std::unique_ptr<Command> make_doctor();
std::unique_ptr<Command> make_compat();  // not built with -D KNELL_COMPAT=OFF

// The whole program: parses the words and executes the command. Returns the exit status; a failure
// prints at most one line.
int run_knell(const std::vector<std::string>& words);

}  // namespace knell::cli
