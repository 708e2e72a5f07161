// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/program.h"

#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <knell/knell.hpp>
#include <memory>

#include "base/nearest.h"
#include "export/command.h"
#include "export/message.h"

namespace knell::exporter {
namespace {

using Words = std::vector<std::string>;

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> all;
  all.push_back(make_prometheus());
  all.push_back(make_journald());
  all.push_back(make_otlp());
  return all;
}

Outcome<int> print_text(const std::string& text) {
  if (::fputs(text.c_str(), stdout) < 0 || ::fflush(stdout) != 0)
    return fail(kFailed, "cannot write standard output");
  return kDone;
}

std::string overview() {
  std::string out = "knell-export sends the process events of knelld to other systems.\n\nUsage:\n";
  for (const auto& command : all_commands())
    out += fmt::format("  knell export {:<10} {:<12} {}\n", command->name(), command->synopsis(),
                       command->summary());
  return out +
         "  knell export --version\n"
         "\n"
         "`knell export COMMAND --help` shows the options of a command, with examples.\n"
         "\n"
         "Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage, 3 knelld is not running.\n";
}

// One line: what is wrong on the command line, and what was probably meant.
std::string describe(const CommandLine& line, const CommandLine::Error& error) {
  using Kind = CommandLine::Error::Kind;
  const std::string word = printable(error.subject);
  switch (error.kind) {
    case Kind::kMissingValue:
      return fmt::format("{} needs a value", word);
    case Kind::kUnwantedValue:
      return fmt::format("{} takes no value", word);
    case Kind::kOther: {
      std::string text = error.text;
      std::ranges::replace(text, '\n', ' ');
      return printable(text);
    }
    case Kind::kUnexpectedWord:
      break;
  }
  const Words names = line.option_names();
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view near =
      word.starts_with("-") ? nearest(word.substr(0, word.find('=')), views) : std::string_view();
  if (!near.empty()) return fmt::format("unknown option {}; did you mean {}?", word, near);
  return fmt::format("unexpected argument '{}'; {} --help lists the options", word, line.program());
}

Outcome<int> parse_and_execute(Command& command, Words words) {
  CommandLine line(fmt::format("knell export {}", command.name()));
  line.add_help("this text");
  command.add_options(line);
  const auto parsed = line.parse(std::move(words));
  if (!parsed) return fail(kUsage, "{}", describe(line, parsed.error()));
  if (*parsed == CommandLine::Parsed::kHelp)
    return print_text(fmt::format("knell export {} {}\n\n{}\n\n{}\n{}", command.name(),
                                  command.synopsis(), command.summary(), line.options_text(),
                                  command.notes()));
  if (const std::string empty = line.option_with_empty_value(); !empty.empty())
    return fail(kUsage, "{} needs a value", empty);
  return command.execute();
}

Outcome<int> dispatch(Words words) {
  const auto commands = all_commands();
  std::vector<std::string_view> names;
  for (const auto& command : commands) names.push_back(command->name());
  if (words.empty())
    return fail(kUsage, "missing command: {}; knell export --help describes them",
                fmt::join(names, ", "));
  const std::string first = words.front();
  words.erase(words.begin());
  if (first == "--help" || first == "-h" || first == "help") return print_text(overview());
  if (first == "--version" || first == "-V")
    return print_text(fmt::format("knell-export {}\n", KNELL_VERSION));
  for (const auto& command : commands) {
    if (command->name() == first) return parse_and_execute(*command, std::move(words));
  }
  const std::string_view near = nearest(first, names);
  if (!near.empty())
    return fail(kUsage, "unknown command '{}'; did you mean {}?", printable(first), near);
  return fail(kUsage, "unknown command '{}'; the commands are {}", printable(first),
              fmt::join(names, ", "));
}

}  // namespace

int run_export(std::vector<std::string> words) {
  const auto done = dispatch(std::move(words));
  if (done) return *done;
  message("{}", done.error().line);
  return done.error().status;
}

}  // namespace knell::exporter
