// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <knell/knell.hpp>

#include "base/nearest.h"
#include "cli/external.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/parse_error.h"
#include "cli/signals.h"

namespace knell::cli {
namespace {

using Words = std::vector<std::string>;

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> all;
  all.push_back(make_watch());
  all.push_back(make_history());
  all.push_back(make_run());
  all.push_back(make_record());
  all.push_back(make_wait());
  all.push_back(make_kill());
  all.push_back(make_tree());
  all.push_back(make_top());
  all.push_back(make_timeline());
  all.push_back(make_status());
  all.push_back(make_durable());
  all.push_back(make_doctor());
#ifdef KNELL_COMPAT
  all.push_back(make_compat());
#endif
  return all;
}

std::string overview() {
  std::string out =
      "knell reports when processes fork, exec, change and exit: only the events you ask "
      "for.\n\nUsage:\n";
  for (const auto& command : all_commands()) {
    out += fmt::format("  knell {:<8} {:<30} {}\n", command->name(), command->synopsis(),
                       command->summary());
  }
  out += "  knell --version\n\nCommands of other packages:\n";
  for (const ExternalCommand& command : external_commands())
    out += fmt::format("  {:<8} {} ({})\n", command.name, command.summary, command.program);
  out +=
      "\n"
      "`knell COMMAND --help` shows the options of a command, with examples.\n"
      "\n"
      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing can be observed here.\n"
      "`run` and `wait` end with the status of the process instead.\n";
  return out;
}

// Removes the words of the user's command, so that they are not parsed as options of knell.
Words take_tail(Words& words, const CommandLine& line, Command::Tail tail) {
  if (tail == Command::Tail::kNone) return {};
  size_t at = 0;
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--") break;
    const bool option = word.size() > 1 && word.front() == '-';
    if (!option && tail == Command::Tail::kAfterOptions) break;
    if (!option) continue;
    if (word == "--exec" && tail == Command::Tail::kAfterExecOption) break;
    // An option's value in the next word is not the start of the user's command.
    const bool own_value =
        word.starts_with("--") ? word.find('=') != std::string::npos : word.size() > 2;
    const bool takes_next = line.takes_value(word) && !own_value;
    if (takes_next && at + 1 < words.size() && words[at + 1] != "--") ++at;
  }
  if (at >= words.size()) return {};
  // "--" is removed; "--exec" and the first word of the command are kept.
  const bool dashes = words[at] == "--";
  if (dashes && tail == Command::Tail::kAfterExecOption) return {};
  const size_t first = dashes ? at + 1 : at;
  Words rest(words.begin() + static_cast<std::ptrdiff_t>(first), words.end());
  words.resize(at);
  return rest;
}

Outcome<int> print_text(std::string text) {
  OutputBuffer out(STDOUT_FILENO, "standard output");
  out.buffer() = std::move(text);
  KNELL_TRY(out.flush());
  return kDone;
}

std::string help_of(const Command& command, const CommandLine& line) {
  return fmt::format("knell {} {}\n\n{}\n\n{}\n{}", command.name(), command.synopsis(),
                     command.summary(), line.options_text(), command.notes());
}

Outcome<int> parse_and_execute(Command& command, Words words) {
  CommandLine line(fmt::format("knell {}", command.name()));
  line.add_help("this text");
  command.add_options(line);
  Words tail = take_tail(words, line, command.tail());
  const auto parsed = line.parse(std::move(words));
  if (!parsed) return usage("{}", describe_error(line, parsed.error()));
  if (*parsed == CommandLine::Parsed::kHelp) return print_text(help_of(command, line));
  if (const std::string empty = line.option_with_empty_value(); !empty.empty())
    return usage("{} needs a value", empty);
  return command.execute(std::move(tail));
}

constexpr std::string_view kHistory = "knell history shows past events";

// Commands that other tools or later versions have, and what to use here instead.
constexpr std::pair<std::string_view, std::string_view> kElsewhere[] = {
    {"last", kHistory},
    {"log", kHistory},
    {"logs", kHistory},
    {"journal", kHistory},
    {"replay", "knell watch --read FILE shows a recording"},
    {"read", "knell watch --read FILE shows a recording"},
    {"count", "knell watch --by comm,unit counts what happens"},
    {"exec", "knell run -- CMD ARG... runs a command"},
    {"trace", "knell run -- CMD ARG... runs a command"},
    {"ps", "knell tree shows the live processes"},
    {"pstree", "knell tree shows the live processes"},
    {"snapshot", "knell tree shows the live processes"},
    {"tail", "knell watch shows events as they happen"},
    {"listen", "knell watch shows events as they happen"},
};

Outcome<int> unknown_command(const std::string& word,
                             const std::vector<std::unique_ptr<Command>>& commands) {
  for (const auto& [name, words] : kElsewhere) {
    if (name == word) return usage("unknown command '{}': {}", word, words);
  }
  std::vector<std::string_view> names;
  names.reserve(commands.size() + external_commands().size());
  for (const auto& command : commands) names.push_back(command->name());
  for (const ExternalCommand& command : external_commands()) names.push_back(command.name);
  const std::string_view near = nearest(word, names);
  if (!near.empty()) return usage("unknown command '{}'; did you mean {}?", printable(word), near);
  return usage("unknown command '{}'; the commands are {}", printable(word),
               fmt::join(names, ", "));
}

// Resolved here, because PATH may name a link to knell, or another knell.
std::string own_executable() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

// "knell -e exit": proposes the nearest global option, or says that the command comes first.
Outcome<int> option_before_command(const std::string& option, const Words& rest,
                                   const std::vector<std::unique_ptr<Command>>& commands) {
  const std::string shown = printable(option);
  for (const std::string& word : rest) {
    for (const auto& command : commands) {
      if (command->name() == word)
        return usage("option {} must come after the command: knell {} {} ...", shown, word, shown);
    }
  }
  static constexpr std::string_view kOwn[] = {"--help", "--version"};
  const std::string_view near = nearest(option, kOwn);
  if (!near.empty()) return usage("unknown option {}; did you mean {}?", shown, near);
  return usage("unknown option {}; the first word must be a command: see knell --help", shown);
}

Outcome<int> dispatch(Words words, bool& process_status) {
  if (words.empty())
    return usage(
        "missing command, such as knell watch, run, wait or doctor; knell --help lists all");
  // "help watch" is "watch --help"; "help" and "help help" show the overview.
  if (words.front() == "help") {
    words.erase(words.begin());
    if (!words.empty() && words.front() != "help") words = {words.front(), "--help"};
    if (words.empty() || words.front() == "help") words = {"--help"};
  }
  const std::string first = words.front();
  words.erase(words.begin());
  if (first == "--help" || first == "-h") return print_text(overview());
  if (first == "--version" || first == "-V" || first == "version")
    return print_text(fmt::format("knell {}\n", knell_version()));
  const auto commands = all_commands();
  if (first.starts_with("-")) return option_before_command(first, words, commands);
  for (const auto& command : commands) {
    if (command->name() != first) continue;
    process_status = command->ends_with_process_status();
    return parse_and_execute(*command, std::move(words));
  }
  for (const ExternalCommand& command : external_commands()) {
    if (command.name == first) return execute_external(command, own_executable(), std::move(words));
  }
  return unknown_command(first, commands);
}

}  // namespace

int run_knell(const std::vector<std::string>& words) {
  Signals::ignore_failing_writes();
  bool process_status = false;
  const auto done = dispatch(words, process_status);
  if (done) return *done;
  const Failure& failure = done.error();
  if (!failure.line.empty()) message("knell: {}\n", failure.line);
  return process_status && failure.status < kTimedOut ? kKnellFailed : failure.status;
}

}  // namespace knell::cli
