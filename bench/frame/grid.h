// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knell::bench {

// A table of words. Lines and columns stand in the order they were first named, each column as wide
// as its widest cell; a cell nobody set is "-".
class Grid {
 public:
  void set(std::string_view line, std::string_view column, std::string text);
  std::string text() const;

 private:
  struct Cell {
    size_t line, column;
    std::string text;
  };
  std::vector<std::string> lines_, columns_;
  std::vector<Cell> cells_;
};

}  // namespace knell::bench
