// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/command_line.h"
#include "base/result.h"
#include "fleet/connection.h"

namespace knell::fleet {

// Exit statuses, the same as those of knell.
constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

// One subcommand. An Error with EINVAL from check() is wrong usage; all others are failures.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  virtual std::string_view name() const = 0;
  virtual std::string_view summary() const = 0;  // one line
  virtual std::string_view notes() const = 0;    // below the options
  virtual void add_options(CommandLine& line) = 0;
  // Checks the options, before anything is opened.
  virtual Result<void> check() = 0;
  virtual Result<int> execute() = 0;
};

std::unique_ptr<Command> make_init();
std::unique_ptr<Command> make_forward();
std::unique_ptr<Command> make_watch();
std::unique_ptr<Command> make_history();
std::unique_ptr<Command> make_hosts();

// The options of the connection, the same for every subcommand.
class ServerOptions {
 public:
  void add(CommandLine& line);
  Result<void> check();
  // `retry` and `inbox` as in ConnectOptions.
  ConnectOptions get() const { return options_; }

 private:
  ConnectOptions options_;
};

// Writes a line to standard error: "knell-fleet: TEXT".
void message(std::string_view text);

// The whole program. Returns the exit status.
int run_fleet(const std::vector<std::string>& words);

}  // namespace knell::fleet
