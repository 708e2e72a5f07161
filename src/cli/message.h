// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace knell::cli {

// Writes to standard error, as much of it as can be written, and does not wait for its reader once
// Signals::over(). What is left is dropped: there is no better place to complain, and the exit
// status says what matters.
void write_message(std::string_view text);

// The one way to standard error for lines of ours. fmt::print() throws when the write fails, and a
// full disk or a closed pipe there must not end us.
template <class... Args>
void message(fmt::format_string<Args...> format, Args&&... args) {
  write_message(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace knell::cli
