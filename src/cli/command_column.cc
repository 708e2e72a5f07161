// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/command_column.h"

#include <algorithm>

#include "cli/text.h"

namespace knell::cli {
namespace {

// The cause of the exit, without the blanks in front.
std::string cause_of(const knell_event& event) {
  std::string text = killer_text(event);
  return text.erase(0, text.find_first_not_of(' '));
}

// Chosen, not measured: with fewer columns a command is hard to recognize.
constexpr size_t kLeastCommandColumns = 12;

void begin_line(std::string& out, const Screen& screen, size_t& used) {
  used = screen.columns > kColumnGap ? kColumnGap : 0;
  out += '\n';
  out.append(used, ' ');
}

// Adds the width of what it appends to `used`.
void append_wrapped(std::string& out, std::string_view text, Colour colour, const Screen& screen,
                    size_t& used) {
  while (!text.empty()) {
    begin_line(out, screen, used);
    const std::string_view line = text.substr(0, line_break(text, screen.columns - used));
    paint(out, line, colour, screen);
    used += display_width(line);
    text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ', line.size())));
  }
}

}  // namespace

void append_command_column(std::string& out, size_t used, size_t start, const knell_event& event,
                           std::string_view command, Colour colour, const Screen& screen) {
  const size_t limit = screen.columns != 0 ? screen.columns : SIZE_MAX;
  size_t gap = used + kColumnGap < start ? start - used : kColumnGap;
  if (const std::string cause = cause_of(event); !cause.empty()) {
    const size_t width = display_width(cause);
    const size_t least = kColumnGap + std::min(display_width(command), kLeastCommandColumns);
    if (used + kColumnGap + width > limit) {
      append_wrapped(out, cause, colour, screen, used);
    } else {
      // Moves the cause to the left of its column if the command then fits beside it.
      if (used + gap + width + least > limit) gap = kColumnGap;
      out.append(gap, ' ');
      paint(out, cause, colour, screen);
      used += gap + width;
    }
    gap = kColumnGap;
    if (used + least > limit) {
      begin_line(out, screen, used);
      gap = 0;
    }
  }
  if (used >= limit || limit - used <= gap) return;
  out.append(gap, ' ');
  out += screen.columns != 0 ? cut(command, limit - used - gap) : command;
}

}  // namespace knell::cli
