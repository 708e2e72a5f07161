// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/parse_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <knell/knell.hpp>
#include <vector>

#include "base/nearest.h"

namespace knell::cli {
namespace {

// Options of other tools, and the options of knell that do the same.
struct Synonym {
  std::string_view typed;
  std::string_view option;  // the proposal is made only if the command has this option
  std::string_view written;
};
constexpr Synonym kSynonyms[] = {
    {"--json", "--output", "-o json"},
    {"-j", "--output", "-o json"},
    {"--format", "--output", "-o"},
    {"--name", "--comm", "--comm"},
    {"--filter", "--comm", "--comm"},
    {"-p", "--pid", "--pid"},
    {"--ppid", "--under", "--under"},
    {"--parent", "--under", "--under"},
    {"-U", "--user", "--user"},
    {"--limit", "--count", "--count"},
    {"--max", "--count", "--count"},
    {"--lines", "--count", "--count"},
    {"--timeout", "--duration", "-d"},
    {"-t", "--timeout", "--timeout"},
    {"--time", "--duration", "-d"},
    {"--since", "--read", "knell history --since (events that knelld has stored)"},
    {"-S", "--read", "knell history -S (events that knelld has stored)"},
    {"--service", "--unit", "--unit"},
    {"--status", "--exit-code", "--exit-code"},
    {"--input", "--read", "--read"},
    {"--file", "--read", "--read"},
    {"-r", "--read", "--read"},
    {"-f", "--read", "--read"},
};

std::string unknown_option(const CommandLine& line, const std::string& word) {
  const std::string bare = word.substr(0, word.find('='));
  for (const Synonym& synonym : kSynonyms) {
    if (synonym.typed == bare && line.has(synonym.option))
      return fmt::format("unknown option {}; did you mean {}?", bare, synonym.written);
  }
  // kill(1) takes "-TERM".
  if (line.has("-9") && bare.size() > 2 && bare[1] >= 'A' && bare[1] <= 'Z')
    return fmt::format("unknown option {}; a signal is given with -s: -s {}", printable(bare),
                       printable(bare.substr(1)));
  std::vector<std::string> names = line.option_names();
  // The distance between two single letters is always 1, so the nearest one is not a useful
  // proposal.
  if (bare.size() == 2) names.clear();
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view near = nearest(bare, views);
  if (near.empty())
    return fmt::format("unknown option {}; {} --help lists the options", printable(bare),
                       line.program());
  return fmt::format("unknown option {}; did you mean {}?", printable(bare), near);
}

// An argument that belongs to no option: proposes the option that takes such a value.
std::string stray_word(const CommandLine& line, const std::string& word) {
  const std::string shown = printable(word);
  uint32_t mask = 0;
  const char* option = nullptr;
  // The command takes arguments, and already has as many as it accepts.
  if (line.has_words())
    return fmt::format("unexpected argument '{}'; {} --help lists the options", shown,
                       line.program());
  if (line.has("--pid") && word.find_first_not_of("0123456789") == std::string::npos) {
    option = "--pid";
  } else if (line.has("--events") && knell_events_parse(word.c_str(), &mask) == 0) {
    option = "-e";
  } else if (line.has("--exe") && word.find('/') != std::string::npos) {
    option = "--exe";
  } else if (line.has("--comm")) {
    option = "--comm";
  }
  if (option == nullptr || word.empty())
    return fmt::format("'{}' is not an option; {} --help lists the options", shown, line.program());
  return fmt::format("'{}' is not an option; did you mean {} {}?", shown, option, shown);
}

}  // namespace

std::string describe_error(const CommandLine& line, const CommandLine::Error& error) {
  using Kind = CommandLine::Error::Kind;
  if (error.kind == Kind::kMissingValue) return fmt::format("{} needs a value", error.subject);
  if (error.kind == Kind::kUnwantedValue) return fmt::format("{} takes no value", error.subject);
  if (error.kind == Kind::kOther) {
    std::string text = error.text;
    std::ranges::replace(text, '\n', ' ');
    return printable(text);
  }
  const std::string& word = error.subject;
  for (const std::string_view dash : {"—", "–"}) {  // word processors turn -- into a dash
    if (word.starts_with(dash))
      return fmt::format("'{}' begins with a long dash; did you mean --{}?", printable(word),
                         printable(word.substr(dash.size())));
  }
  if (word == "--")
    return fmt::format("{} takes no command; knell run -- CMD ARG... runs one", line.program());
  if (word.starts_with("-") && word.size() > 1) return unknown_option(line, word);
  return stray_word(line, word);
}

}  // namespace knell::cli
