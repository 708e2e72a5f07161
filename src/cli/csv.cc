// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/csv.h"

namespace knell::cli {
namespace {

// A value is quoted only if it needs to be; printable text has no line breaks.
void append_value(std::string& out, std::string_view value) {
  if (value.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

CsvView::CsvView(std::vector<Field> columns) : columns_(std::move(columns)) {
  using enum Field;
  if (columns_.empty())
    columns_ = {kTime, kType,  kPid,      kPpid,   kParent, kUser, kUnit,
                kAge,  kEnded, kExitCode, kSignal, kKiller, kComm, kCommand};
}

void CsvView::begin(std::string& out) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i != 0) out += ',';
    out += column_name(columns_[i]);
  }
  out += "\n";
}

void CsvView::add(const knell_event& event, std::string& out) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i != 0) out += ',';
    append_value(out, csv_value(columns_[i], event));
  }
  out += "\n";
}

}  // namespace knell::cli
