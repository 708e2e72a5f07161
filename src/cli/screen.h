// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knell::cli {

enum class Colour { kNone, kBold, kDim, kRed, kYellow, kMagenta, kCyan };

// The terminal that lines are shown on, if it is one.
struct Screen {
  bool terminal = false;
  bool colour = false;  // a terminal, not a dumb one, and no NO_COLOR
  size_t columns = 0;   // 0: no limit, lines are not cut
  size_t rows = 0;

  static Screen of(int fd);
};

// Appends `text` in a colour and resets the colour at once, so that a write that fails later leaves
// the terminal uncoloured.
void paint(std::string& out, std::string_view text, Colour colour, const Screen& screen);

}  // namespace knell::cli
