// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace knell::cli {
namespace {

std::string_view escape(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kBold:
      return "\033[1m";
    case Colour::kDim:
      return "\033[2m";
    case Colour::kRed:
      return "\033[31m";
    case Colour::kYellow:
      return "\033[33m";
    case Colour::kMagenta:
      return "\033[35m";
    case Colour::kCyan:
      return "\033[36m";
  }
  return "";
}

bool colour_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) != "dumb";
}

}  // namespace

Screen Screen::of(int fd) {
  constexpr size_t kColumns = 80;  // where a terminal reports no size, as a serial line does
  constexpr size_t kRows = 24;
  Screen screen;
  screen.terminal = ::isatty(fd) == 1;
  if (!screen.terminal) return screen;
  screen.colour = colour_wanted();
  winsize size{};
  const bool known = ::ioctl(fd, TIOCGWINSZ, &size) == 0;
  screen.columns = known && size.ws_col > 0 ? size.ws_col : kColumns;
  screen.rows = known && size.ws_row > 0 ? size.ws_row : kRows;
  return screen;
}

void paint(std::string& out, std::string_view text, Colour colour, const Screen& screen) {
  if (!screen.colour || colour == Colour::kNone || text.empty()) {
    out += text;
    return;
  }
  out += escape(colour);
  out += text;
  out += "\033[0m";
}

}  // namespace knell::cli
