// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "daemon/config.h"

namespace knell::daemon {

// Writes lines to standard error. If that is the journal, each line begins with its priority
// ("<4>", sd-daemon(3)), which the journal removes; else with "knelld: ". There is no timestamp,
// since the journal adds one. Callers must pass text from outside the daemon through printable().
class Log {
 public:
  static Log& of_process();

  void set_level(LogLevel level) { level_ = level; }
  bool wants(LogLevel level) const { return level <= level_; }
  // Each line of `text` becomes a line of the log; all are written with one write(2).
  void write(LogLevel level, std::string_view text) const;

 private:
  Log();
  bool journal_;
  LogLevel level_ = LogLevel::kInfo;
};

template <class... Args>
void log_at(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (Log::of_process().wants(level))
    Log::of_process().write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kError, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kWarning, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kInfo, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_at(LogLevel::kDebug, format, std::forward<Args>(args)...);
}

}  // namespace knell::daemon
