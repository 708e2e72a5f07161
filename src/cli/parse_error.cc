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

std::string unknown_option(const CLI::App& app, const std::string& word) {
  const std::string bare = word.substr(0, word.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view near = nearest(bare, views);
  if (near.empty())
    return fmt::format("unknown option {}; {} --help tells all", printable(bare), app.get_name());
  return fmt::format("unknown option {}; did you mean {}?", printable(bare), near);
}

}  // namespace

std::string in_one_line(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> rest = app.remaining();
    const std::string word = rest.empty() ? "" : rest.front();
    if (word.starts_with("-") && word.size() > 1) return unknown_option(app, word);
    return fmt::format("'{}' is no option; {} --help tells all", printable(word), app.get_name());
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
