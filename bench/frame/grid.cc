// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/grid.h"

#include <fmt/format.h>

#include <algorithm>

namespace knell::bench {
namespace {

size_t index_of(std::vector<std::string>& names, std::string_view name) {
  const auto at = std::ranges::find(names, name);
  if (at != names.end()) return static_cast<size_t>(at - names.begin());
  names.emplace_back(name);
  return names.size() - 1;
}

}  // namespace

void Grid::set(std::string_view line, std::string_view column, std::string text) {
  const size_t line_index = index_of(lines_, line);
  cells_.push_back({line_index, index_of(columns_, column), std::move(text)});
}

std::string Grid::text() const {
  std::vector<std::vector<std::string>> rows(lines_.size() + 1);
  rows[0].push_back({});
  rows[0].insert(rows[0].end(), columns_.begin(), columns_.end());
  for (size_t i = 0; i < lines_.size(); ++i) {
    rows[i + 1].assign(columns_.size() + 1, "-");
    rows[i + 1][0] = lines_[i];
  }
  for (const Cell& cell : cells_) rows[cell.line + 1][cell.column + 1] = cell.text;
  std::vector<size_t> widths(columns_.size() + 1);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("  {:<{}}", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace knell::bench
