// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace knell::cli {

// Writes to standard error. Once Signals::ending(), it does not wait for a slow reader. Text that
// cannot be written is dropped: there is no better place for an error message, and the exit status
// reports the result.
void write_message(std::string_view text);

// All messages on standard error go through here. fmt::print() throws when the write fails, and a
// full disk or a closed pipe there must not end this process.
template <class... Args>
void message(fmt::format_string<Args...> format, Args&&... args) {
  write_message(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace knell::cli
