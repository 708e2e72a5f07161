// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/log.h"

#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace knell::daemon {
namespace {

// systemd.exec(5): JOURNAL_STREAM has the device and inode of the journal's stream. Compare them,
// because the variable may be inherited while standard error is redirected.
bool standard_error_is_journal() {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat file{};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &file) != 0) return false;
  return fmt::format("{}:{}", file.st_dev, file.st_ino) == stream;
}

int priority(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return LOG_ERR;
    case LogLevel::kWarning:
      return LOG_WARNING;
    case LogLevel::kInfo:
      return LOG_INFO;
    case LogLevel::kDebug:
      return LOG_DEBUG;
  }
  return LOG_INFO;
}

}  // namespace

Log::Log() : journal_(standard_error_is_journal()) {}

Log& Log::of_process() {
  static Log log;
  return log;
}

void Log::write(LogLevel level, std::string_view text) const {
  const std::string prefix = journal_ ? fmt::format("<{}>", priority(level)) : "knelld: ";
  std::string lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines += fmt::format("{}{}\n", prefix, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  // Ignore errors: there is no other place to log to.
  (void)!::write(STDERR_FILENO, lines.data(), lines.size());
}

}  // namespace knell::daemon
