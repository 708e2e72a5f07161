// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "cli/columns.h"
#include "cli/failure.h"

namespace knell::cli {

// The formats of -o, of all commands.
enum class Format : uint8_t { kTable, kJson, kCsv, kPrometheus, kHtml, kSvg, kPerfetto };

// Parses the value of -o. `offered`: the formats of the command, the default first.
Outcome<Format> parse_format(std::string_view word, std::initializer_list<Format> offered);

// How a stream of events is shown.
struct OutputFormat {
  Format format = Format::kTable;
  std::vector<Field> columns;  // of kTable, kCsv; empty: the usual ones

  // For programs: no headline, no summary.
  bool is_data() const { return format != Format::kTable; }
};

// Parses the value of -o of a command that shows events: "table", "json", "csv", "table=time,pid",
// "csv=time,type".
Outcome<OutputFormat> parse_output(std::string_view word);
// Parses the value of -o that is "table" or "json". Returns whether it is json.
Outcome<bool> wants_json(std::string_view word);

// The help of -o of a command that shows events.
extern const char* const kOutputHelp;

}  // namespace knell::cli
