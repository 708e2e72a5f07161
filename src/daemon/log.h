// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "daemon/config.h"

namespace knell::daemon {

// Lines on standard error. Where that is the journal, each begins with its priority, which the
// journal takes away ("<4>", sd-daemon(3)); elsewhere they begin with "knelld: ". The journal
// stamps them, so there is no time. Texts that others chose must be printable() when they come
// here.
class Log {
 public:
  static Log& of_process();

  void set_level(LogLevel level) { level_ = level; }
  bool wants(LogLevel level) const { return level <= level_; }
  // Each line of `text` is a line of its own, written at once.
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
