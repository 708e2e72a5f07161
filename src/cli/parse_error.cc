// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/parse_error.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <knell/knell.hpp>
#include <vector>

#include "base/nearest.h"

namespace knell::cli {
namespace {

// Options that other tools have, and what they are called here.
struct Synonym {
  std::string_view typed;
  std::string_view option;  // must be one of the command
  std::string_view written;
};
constexpr Synonym kSynonyms[] = {
    {"--json", "--output", "-o json"}, {"-j", "--output", "-o json"},
    {"--format", "--output", "-o"},    {"--name", "--comm", "--comm"},
    {"--filter", "--comm", "--comm"},  {"-p", "--pid", "--pid"},
    {"--ppid", "--under", "--under"},  {"--parent", "--under", "--under"},
    {"-U", "--user", "--user"},        {"--limit", "--count", "--count"},
    {"--max", "--count", "--count"},   {"--lines", "--count", "--count"},
    {"--timeout", "--duration", "-d"}, {"-t", "--timeout", "--timeout"},
    {"--time", "--duration", "-d"},    {"--since", "--read", "--read FILE of knell record"},
    {"--service", "--unit", "--unit"}, {"--status", "--exit-code", "--exit-code"},
    {"--input", "--read", "--read"},   {"--file", "--read", "--read"},
    {"-r", "--read", "--read"},        {"-f", "--read", "--read"},
};

std::string unknown_option(const CLI::App& app, const std::string& word) {
  const std::string bare = word.substr(0, word.find('='));
  for (const Synonym& synonym : kSynonyms) {
    if (synonym.typed == bare && app.get_option_no_throw(std::string(synonym.option)) != nullptr)
      return fmt::format("unknown option {}; did you mean {}?", bare, synonym.written);
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view near = nearest(bare, views);
  if (near.empty())
    return fmt::format("unknown option {}; {} --help lists them", printable(bare), app.get_name());
  return fmt::format("unknown option {}; did you mean {}?", printable(bare), near);
}

// A word without an option before it, with the option that it may be a value of.
std::string stray_word(const CLI::App& app, const std::string& word) {
  const std::string shown = printable(word);
  const auto has = [&](const char* option) { return app.get_option_no_throw(option) != nullptr; };
  uint32_t mask = 0;
  const char* option = nullptr;
  // Words of its own were taken: this is one too many.
  const bool positional = std::ranges::any_of(
      app.get_options(), [](const CLI::Option* one) { return one->get_positional(); });
  if (positional) return fmt::format("'{}' is one word too many", shown);
  if (has("--pid") && word.find_first_not_of("0123456789") == std::string::npos) {
    option = "--pid";
  } else if (has("--events") && knell_events_parse(word.c_str(), &mask) == 0) {
    option = "-e";
  } else if (has("--exe") && word.find('/') != std::string::npos) {
    option = "--exe";
  } else if (has("--comm")) {
    option = "--comm";
  }
  if (option == nullptr || word.empty())
    return fmt::format("'{}' is no option; {} --help lists them", shown, app.get_name());
  return fmt::format("'{}' is no option; did you mean {} {}?", shown, option, shown);
}

}  // namespace

std::string in_one_line(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> rest = app.remaining();
    const std::string word = rest.empty() ? "" : rest.front();
    for (const std::string_view dash : {"—", "–"}) {  // as word processors make of --
      if (word.starts_with(dash))
        return fmt::format("'{}' begins with a long dash; did you mean --{}?", printable(word),
                           printable(word.substr(dash.size())));
    }
    if (word == "--")
      return fmt::format("{} takes no command; knell run -- CMD ARG... runs one", app.get_name());
    if (word.starts_with("-") && word.size() > 1) return unknown_option(app, word);
    return stray_word(app, word);
  }
  std::string text = error.what();
  const size_t colon = text.find(": ");
  const bool missing = dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr &&
                       colon != std::string::npos && text.find("required") != std::string::npos;
  if (missing) return fmt::format("{} needs a value", text.substr(0, colon));
  const size_t override = text.find(" was given a disallowed flag override");
  if (override != std::string::npos) {
    return fmt::format("--{} takes no value", text.substr(0, override));
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return printable(text);
}

}  // namespace knell::cli
