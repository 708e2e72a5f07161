// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "cli/screen.h"

namespace knell::cli {

constexpr size_t kColumnGap = 2;  // blanks between columns

// Appends the last column of a line about `event`: the cause of the exit where it is known, then
// `command`. `used` is the width of the line so far; the last column begins at `start`. On a
// terminal the command is cut at the edge of the window, the cause is never cut. A cause that does
// not fit goes on lines of its own below, with the command behind it; a command that alone does not
// fit goes below. Appends no newline at the end.
void append_command_column(std::string& out, size_t used, size_t start, const knell_event& event,
                           std::string_view command, Colour colour, const Screen& screen);

}  // namespace knell::cli
