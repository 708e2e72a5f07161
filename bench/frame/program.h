// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/frame/contender.h"

namespace knell::bench {

// A program that prints a line an event.
struct ProgramOptions {
  std::string name;
  std::vector<std::string> words;  // the command; words[0] is looked for in PATH
  uint32_t events = 0;             // what it should tell of
  bool tracing = false;            // needs tracefs and debugfs: they are mounted for it alone
  bool prompt = false;             // prints exits soon: not only when its buffer is full
  std::function<std::optional<Arrival>(std::string_view line)> parse;
};

// Its lines go into a file in memory, which costs it about what a pipe would, and the reader of it
// nothing. A program that is not prompt has begun to listen when it uses no CPU any more; what it
// told of is read after SIGINT made it flush.
std::unique_ptr<Contender> make_program(ProgramOptions options);

// `knell watch -o json` with `flags`.
std::unique_ptr<Contender> make_knell_watch(std::string name, const std::string& knell,
                                            std::vector<std::string> flags, uint32_t events);

// Waits until a process uses next to no CPU; false when it ended or never came to rest.
bool await_quiet(pid_t pid, uint64_t patience_ns);

// The path of a program as execvp() would find it, /usr/sbin looked into as well; empty: not there.
std::string find_program(std::string_view name);

}  // namespace knell::bench
