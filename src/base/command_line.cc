// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace knell {

struct CommandLine::Parser {
  explicit Parser(std::string_view program) : app("", std::string(program)) {}

  CLI::App app;
  std::vector<std::string*> optional_values;
};

namespace {

CommandLine::Error error_of(const CLI::App& app, const CLI::ParseError& error) {
  using Kind = CommandLine::Error::Kind;
  const std::string text = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> rest = app.remaining();
    return {Kind::kUnexpectedWord, rest.empty() ? "" : rest.front(), text};
  }
  // CLI11 has no error type for a missing value and for an unwanted value. The messages are
  // "--output: 1 required FORMAT missing" and "any was given a disallowed flag override".
  const size_t colon = text.find(": ");
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && colon != std::string::npos &&
      text.find("required") != std::string::npos)
    return {Kind::kMissingValue, text.substr(0, colon), text};
  const size_t override = text.find(" was given a disallowed flag override");
  if (override != std::string::npos)
    return {Kind::kUnwantedValue, "--" + text.substr(0, override), text};
  return {Kind::kOther, "", text};
}

}  // namespace

CommandLine::CommandLine(std::string_view program) : parser_(std::make_unique<Parser>(program)) {
  CLI::App& app = parser_->app;
  app.set_help_flag();
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.get_formatter()->column_width(26);
}

CommandLine::CommandLine(CommandLine&&) noexcept = default;
CommandLine::~CommandLine() = default;

void CommandLine::add_help(const std::string& help) {
  parser_->app.set_help_flag("-h,--help", help)->disable_flag_override();  // no --help=5
}

void CommandLine::add_flag(const std::string& names, bool& value, const std::string& help) {
  parser_->app.add_flag(names, value, help)->disable_flag_override();
}

void CommandLine::add_value(const std::string& names, std::string& value, const std::string& type,
                            const std::string& help) {
  CLI::Option* const option = parser_->app.add_option(names, value, help);
  if (!type.empty()) option->type_name(type);
}

void CommandLine::add_optional_value(const std::string& names, std::string& value) {
  parser_->app.add_option(names, value)->expected(0, 1);
  parser_->optional_values.push_back(&value);
}

void CommandLine::add_values(const std::string& names, std::vector<std::string>& values,
                             const std::string& type, const std::string& help,
                             const std::string& group) {
  CLI::Option* const option = parser_->app.add_option(names, values, help)
                                  ->type_name(type)
                                  ->expected(1)
                                  ->allow_extra_args(false)
                                  ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (!group.empty()) option->group(group);
}

void CommandLine::add_word(const std::string& name, std::string& value, const std::string& help) {
  parser_->app.add_option(name, value, help)->type_name("");
}

void CommandLine::add_words(const std::string& name, std::vector<std::string>& values,
                            const std::string& help) {
  parser_->app.add_option(name, values, help)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("");
}

std::expected<CommandLine::Parsed, CommandLine::Error> CommandLine::parse(
    std::vector<std::string> words) {
  std::ranges::reverse(words);  // CLI11 takes the words in reverse order
  try {
    parser_->app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return Parsed::kHelp;
  } catch (const CLI::ParseError& error) {
    return std::unexpected(error_of(parser_->app, error));
  }
  // The library sets "{}" for an optional value that was not typed.
  for (std::string* value : parser_->optional_values) {
    if (*value == "{}") value->clear();
  }
  return Parsed::kAll;
}

const std::string& CommandLine::program() const { return parser_->app.get_name(); }

std::string CommandLine::options_text() const {
  std::string text = parser_->app.help();
  // The library puts a description and a usage line in front, which are left out.
  text.erase(0, std::min(text.size(), text.find("\nOptions:") + 1));
  return text;
}

bool CommandLine::has(std::string_view option) const {
  return parser_->app.get_option_no_throw(std::string(option)) != nullptr;
}

bool CommandLine::has_words() const {
  return std::ranges::any_of(parser_->app.get_options(),
                             [](const CLI::Option* one) { return one->get_positional(); });
}

bool CommandLine::takes_value(std::string_view option) const {
  const CLI::Option* const one = parser_->app.get_option_no_throw(std::string(option));
  return one != nullptr && one->get_items_expected_max() > 0;
}

std::vector<std::string> CommandLine::option_names() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : parser_->app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

bool CommandLine::given(std::string_view option) const {
  return parser_->app.count(std::string(option)) != 0;
}

std::string CommandLine::option_with_empty_value() const {
  for (const CLI::Option* option : parser_->app.get_options()) {
    if (std::ranges::count(option->results(), "") != 0) return option->get_name();
  }
  return "";
}

}  // namespace knell
