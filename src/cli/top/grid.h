// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/screen.h"

namespace knell::cli {

struct Look {
  Colour colour = Colour::kNone;
  bool reverse = false;
};

// The content of a terminal's window: in each row texts with their columns. A text never leaves its
// row, and never has control characters: what is not safe to print is replaced, whatever the caller
// passes. Without UTF-8 each character that is not ASCII is shown as '?'.
class Grid {
 public:
  struct Text {
    size_t column;
    std::string bytes;  // valid UTF-8, of `width` columns
    size_t width;
    Look look;
  };

  Grid(size_t rows, size_t columns, bool utf8)
      : rows_(rows), columns_(columns), utf8_(utf8), texts_(rows) {}

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  bool utf8() const { return utf8_; }

  // Puts a text into the row, over what is there; it is cut, with `…`, to `most` columns and at
  // the edge of the window. Returns the column behind it.
  size_t put(size_t row, size_t column, std::string_view text, Look look = {},
             size_t most = SIZE_MAX);
  // Fills the row with blanks in this look, from `column` on.
  void fill(size_t row, size_t column, Look look);

  std::span<const Text> row(size_t row) const { return texts_[row]; }
  std::string line(size_t row) const;  // the row as text, without blanks at its end

 private:
  size_t rows_, columns_;
  bool utf8_;
  std::vector<std::vector<Text>> texts_;
};

}  // namespace knell::cli
