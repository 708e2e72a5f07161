// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "base/command_line.h"
#include "export/failure.h"

namespace knell::exporter {

// One destination: its options, and the program that serves it until SIGTERM.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  virtual std::string_view name() const = 0;
  virtual std::string_view synopsis() const = 0;
  virtual std::string_view summary() const = 0;  // one line
  virtual std::string_view notes() const = 0;    // below the options: exit status, examples
  virtual void add_options(CommandLine& line) = 0;
  virtual Outcome<int> execute() = 0;
};

std::unique_ptr<Command> make_prometheus();
std::unique_ptr<Command> make_journald();
std::unique_ptr<Command> make_otlp();

}  // namespace knell::exporter
