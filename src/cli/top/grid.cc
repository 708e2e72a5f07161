// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/grid.h"

#include "cli/text.h"

namespace knell::cli {
namespace {

// Of the first character of valid UTF-8.
size_t character_bytes(std::string_view text) {
  size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) ++bytes;
  return bytes;
}

// Keeps the width: a wide character becomes two question marks.
std::string ascii_text(std::string_view text) {
  constexpr std::string_view kEllipsis = "…";
  std::string out;
  while (!text.empty()) {
    if (static_cast<unsigned char>(text.front()) < 0x80) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text.starts_with(kEllipsis)) {
      out += '~';
      text.remove_prefix(kEllipsis.size());
      continue;
    }
    const size_t bytes = character_bytes(text);
    out.append(display_width(text.substr(0, bytes)), '?');
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace

size_t Grid::put(size_t row, size_t column, std::string_view text, Look look, size_t most) {
  if (row >= rows_ || column >= columns_) return column;
  std::string shown = cut(printable(text), std::min(most, columns_ - column));
  if (!utf8_) shown = ascii_text(shown);
  const size_t width = display_width(shown);
  if (width != 0) texts_[row].push_back({column, std::move(shown), width, look});
  return column + width;
}

void Grid::fill(size_t row, size_t column, Look look) {
  if (column < columns_) put(row, column, std::string(columns_ - column, ' '), look);
}

std::string Grid::line(size_t row) const {
  std::vector<std::string> cells(columns_, " ");
  for (const Text& text : texts_[row]) {
    std::string_view left = text.bytes;
    for (size_t column = text.column; !left.empty();) {
      const size_t bytes = character_bytes(left);
      const size_t width = display_width(left.substr(0, bytes));
      if (width == 0 && column != 0)
        cells[column - 1] += left.substr(0, bytes);
      else
        for (size_t i = 0; i < width; ++i) cells[column + i] = i == 0 ? left.substr(0, bytes) : "";
      column += width;
      left.remove_prefix(bytes);
    }
  }
  std::string out;
  for (const std::string& cell : cells) out += cell;
  return out.erase(out.find_last_not_of(' ') + 1);
}

}  // namespace knell::cli
