// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/journal_flags.h"

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/time_point.h"
#include "cli/text.h"

namespace knell::cli {

void JournalFlags::add_time_options(CommandLine& line) {
  line.add_value("-S,--since", since, "TIME", "events from this time on");
  line.add_value("-U,--until", until, "TIME", "events up to this time");
  line.add_flag("-b,--boot", boot, "events since the machine was booted");
}

void JournalFlags::add_file_option(CommandLine& line) {
  line.add_value("--journal", journal, "FILE",
                 "read this journal (default " KNELL_JOURNAL_PATH ")");
}

Outcome<HistoryOptions> JournalFlags::options(uint32_t mask) const {
  const int64_t now = system_clock().realtime_ns();
  const auto time = [&](std::string_view flag, const std::string& text) -> Outcome<int64_t> {
    if (text.empty()) return 0;
    const auto ns = parse_time(text, now);
    if (!ns) return usage("{}: {}", flag, ns.error().message());
    return std::max<int64_t>(*ns, 1);
  };
  HistoryOptions options;
  options.events = mask;
  options.this_boot = boot ? 1 : 0;
  KNELL_ASSIGN(options.since_ns, time("-S", since));
  KNELL_ASSIGN(options.until_ns, time("-U", until));
  if (options.until_ns != 0 && options.until_ns < options.since_ns)
    return usage("-U {} is before -S {}", printable(until), printable(since));
  return options;
}

std::string_view JournalFlags::given() const {
  if (!since.empty()) return "--since";
  if (!until.empty()) return "--until";
  if (boot) return "--boot";
  return journal.empty() ? "" : "--journal";
}

Outcome<Listener> open_journal(const std::string& path, const HistoryOptions& options) {
  std::error_code error;
  Listener listener = Listener::open_history(path, options, error);
  if (!error) return listener;
  const int code = error.value();
  return fail(code == ENODATA                    ? kDone
              : code == ENOENT || code == EACCES ? kNothingHere
                                                 : kFailed,
              knell_explain());
}

std::string journal_text(const Listener& listener, const JournalFlags& flags) {
  const bool file = listener.stats().daemon == KNELL_DAEMON_NONE;
  return file ? flags.path() : "the journal of knelld";
}

}  // namespace knell::cli
