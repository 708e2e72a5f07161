// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <knell/knell.hpp>
#include <string>

namespace knell::cli {
namespace {

std::string_view name_of(Format format) {
  constexpr std::string_view kNames[] = {"table", "json", "csv",     "prometheus",
                                         "html",  "svg",  "perfetto"};
  return kNames[static_cast<size_t>(format)];
}

// "table, json or csv".
std::string names_of(std::initializer_list<Format> formats) {
  std::string out;
  for (const Format* one = formats.begin(); one != formats.end(); ++one) {
    if (one != formats.begin()) out += one + 1 == formats.end() ? " or " : ", ";
    out += name_of(*one);
  }
  return out;
}

// A row of csv has no other place for what was lost.
bool shows_losses(const std::vector<Field>& columns) {
  return std::ranges::any_of(
      columns, [](Field field) { return field == Field::kType || field == Field::kEnded; });
}

}  // namespace

const char* const kOutputHelp =
    "table (default), json, csv, or with columns: table=time,pid,command,\n"
    "csv=time,type,pid,ended";

Outcome<Format> parse_format(std::string_view word, std::initializer_list<Format> offered) {
  if (word.empty()) return *offered.begin();
  for (const Format one : offered)
    if (word == name_of(one)) return one;
  return usage("-o takes {}, not '{}'", names_of(offered), printable(word));
}

Outcome<OutputFormat> parse_output(std::string_view word) {
  OutputFormat out;
  const size_t equals = std::min(word.find('='), word.size());
  KNELL_ASSIGN(out.format,
               parse_format(word.substr(0, equals), {Format::kTable, Format::kJson, Format::kCsv}));
  if (equals == word.size()) return out;
  if (out.format == Format::kJson)
    return usage("-o json has all fields: choose columns with table=... or csv=..., or with jq");
  KNELL_ASSIGN(out.columns, parse_columns(word.substr(equals + 1)));
  if (out.format == Format::kCsv && !shows_losses(out.columns))
    return usage("-o csv=... needs the column type or ended, which shows lost events");
  return out;
}

Outcome<bool> wants_json(std::string_view word) {
  KNELL_ASSIGN(const Format format, parse_format(word, {Format::kTable, Format::kJson}));
  return format == Format::kJson;
}

}  // namespace knell::cli
