// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace knell::exporter {

// Writes one line to standard error, the log of the unit. A failure to write is ignored: there is
// no other place to report it.
template <class... Args>
void message(fmt::format_string<Args...> format, Args&&... args) {
  const std::string line =
      "knell-export: " + fmt::format(format, std::forward<Args>(args)...) + "\n";
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace knell::exporter
