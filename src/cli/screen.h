// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knell::cli {

enum class Colour { kNone, kBold, kDim, kRed, kYellow, kMagenta, kCyan };

// What is known of the thing lines are shown on.
struct Screen {
  bool terminal = false;
  bool colour = false;  // a terminal, not a dumb one, and no NO_COLOR
  size_t columns = 0;   // 0: no limit, cut nothing
  size_t rows = 0;

  static Screen of(int fd);
};

// Appends `text` in a colour and takes the colour back at once, so that no write can leave a
// terminal coloured.
void paint(std::string& out, std::string_view text, Colour colour, const Screen& screen);

}  // namespace knell::cli
