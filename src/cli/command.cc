// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <knell/knell.hpp>

#include "base/nearest.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/parse_error.h"
#include "cli/signals.h"

namespace knell::cli {
namespace {

using Words = std::vector<std::string>;

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> all;
  all.push_back(make_watch());
  all.push_back(make_run());
  all.push_back(make_record());
  all.push_back(make_wait());
  all.push_back(make_status());
  all.push_back(make_doctor());
  all.push_back(make_compat());
  return all;
}

std::string overview() {
  std::string out =
      "knell tells when processes fork, exec, change and die, and only what you asked "
      "for.\n\nUsage:\n";
  for (const auto& command : all_commands()) {
    out += fmt::format("  knell {:<7} {:<30} {}\n", command->name(), command->synopsis(),
                       command->summary());
  }
  out +=
      "  knell --version\n"
      "\n"
      "`knell COMMAND --help` tells the options of a command, with examples.\n"
      "\n"
      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing can be observed here.\n"
      "`run` and `wait` end with the status of the process instead.\n";
  return out;
}

// The words of the user's command, cut off before CLI11 can read them as options of ours.
Words take_tail(Words& words, const CLI::App& app, Command::Tail tail) {
  if (tail == Command::Tail::kNone) return {};
  size_t at = 0;
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--") break;
    const bool option = word.size() > 1 && word.front() == '-';
    if (!option && tail == Command::Tail::kAfterOptions) break;
    if (!option) continue;
    if (word == "--exec" && tail == Command::Tail::kAfterExecOption) break;
    // A value in the next word is no word of the command.
    const bool own_value =
        word.starts_with("--") ? word.find('=') != std::string::npos : word.size() > 2;
    const CLI::Option* known = app.get_option_no_throw(word);
    if (known != nullptr && known->get_items_expected_max() > 0 && !own_value) ++at;
  }
  if (at >= words.size()) return {};
  // "--" goes, a bare first word of the command and "--exec" stay.
  const bool dashes = words[at] == "--";
  if (dashes && tail == Command::Tail::kAfterExecOption) return {};
  const size_t first = dashes ? at + 1 : at;
  Words rest(words.begin() + static_cast<std::ptrdiff_t>(first), words.end());
  words.resize(at);
  return rest;
}

Outcome<int> print_text(std::string text) {
  Output out(STDOUT_FILENO, "standard output");
  out.buffer() = std::move(text);
  KNELL_TRY(out.flush());
  return kDone;
}

std::string help_of(const Command& command, const CLI::App& app) {
  std::string options = app.help();
  // CLI11 begins with the description and a usage line of its own.
  options.erase(0, std::min(options.size(), options.find("\nOptions:") + 1));
  return fmt::format("knell {} {}\n\n{}\n\n{}\n{}", command.name(), command.synopsis(),
                     command.summary(), options, command.notes());
}

Outcome<int> parse_and_execute(Command& command, Words words) {
  CLI::App app(std::string(command.summary()), fmt::format("knell {}", command.name()));
  app.set_help_flag("-h,--help", "this text");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.get_formatter()->column_width(26);
  command.add_options(app);
  for (CLI::Option* option : app.get_options({})) {
    if (option->get_items_expected_max() == 0) option->disable_flag_override();  // --any=5
  }
  Words tail = take_tail(words, app, command.tail());
  std::reverse(words.begin(), words.end());
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return print_text(help_of(command, app));
  } catch (const CLI::ParseError& error) {
    return usage("{}", in_one_line(app, error));
  }
  for (const CLI::Option* option : app.get_options({})) {
    if (std::ranges::count(option->results(), "") != 0)
      return usage("{} needs a value", option->get_name());
  }
  return command.execute(std::move(tail));
}

Outcome<int> unknown_command(const std::string& word,
                             const std::vector<std::unique_ptr<Command>>& commands) {
  std::vector<std::string_view> names;
  names.reserve(commands.size());
  for (const auto& command : commands) names.push_back(command->name());
  const std::string_view near = nearest(word, names);
  if (!near.empty()) return usage("no command '{}'; did you mean {}?", printable(word), near);
  return usage("no command '{}'; there are {}", printable(word), fmt::join(names, ", "));
}

Outcome<int> dispatch(Words words, bool& process_status) {
  if (words.empty())
    return usage("what to do? knell watch, run, wait or doctor; knell --help tells more");
  const std::string first = words.front();
  words.erase(words.begin());
  if (first == "--help" || first == "-h" || (first == "help" && words.empty()))
    return print_text(overview());
  if (first == "--version") return print_text(fmt::format("knell {}\n", knell_version()));
  if (first.starts_with("-"))
    return usage("unknown option {}; a command comes first: knell --help", printable(first));
  const auto commands = all_commands();
  for (const auto& command : commands) {
    if (command->name() != first) continue;
    process_status = command->ends_with_process_status();
    return parse_and_execute(*command, std::move(words));
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
