// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-export journald`: writes events to the systemd journal as structured entries.
#include <cstring>
#include <knell/knell.hpp>
#include <string>

#include "base/numbers.h"
#include "export/command.h"
#include "export/journal_socket.h"
#include "export/journal_writer.h"
#include "export/message.h"
#include "export/selection.h"

namespace knell::exporter {
namespace {

class Journald final : public Command {
 public:
  std::string_view name() const override { return "journald"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override {
    return "writes events to the systemd journal as structured entries";
  }
  std::string_view notes() const override {
    return "journalctl -x explains the entries; knell-export(1) lists their fields.\n"
           "\n"
           "Exit status: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 wrong usage; 3 knelld or\n"
           "journald is not running.\n"
           "\n"
           "Examples:\n"
           "  knell export journald\n"
           "  knell export journald -e exit -m unit=postgresql.service\n"
           "  journalctl -x -t knell KNELL_KILLED_BY_CAUSE=oom\n";
  }
  void add_options(CommandLine& line) override {
    selection_.add_options(line);
    line.add_value(
        "--rate", rate_, "COUNT",
        "at most N entries in 30 s; further ones wait (default 4500, so that\njournald's "
        "own limit drops none); 0: no limit, for a unit with\nLogRateLimitIntervalSec=0");
  }
  Outcome<int> execute() override;

 private:
  std::string rate_;
  Selection selection_{"export-journald"};
};

Outcome<int> Journald::execute() {
  uint64_t rate = EntryBudget::kDefault;
  if (!rate_.empty()) {
    const auto number = parse_number(rate_, 0, 1'000'000'000);
    if (!number) return fail(kUsage, "--rate takes a number from 0 on, not '{}'", printable(rate_));
    rate = static_cast<uint64_t>(*number);
  }
  const auto options = selection_.options();
  if (!options) return std::unexpected(options.error());
  auto stop = StopSignal::create();
  if (!stop) return std::unexpected(std::move(stop).error());
  auto intake = Intake::create(*options);
  if (!intake) return std::unexpected(std::move(intake).error());
  JournalSocket journal;
  if (const int error = journal.connect(); error != 0)
    return fail(kNothingHere, "{}: {}; start systemd-journald, or use another destination",
                JournalSocket::kPath, std::strerror(-error));
  JournalWriter writer([&](std::span<const std::string> entry) { return journal.send(entry); },
                       EntryBudget(rate));
  message("writes {} to the journal", events_text(options->events));
  auto done = pump(*intake, writer, *stop);
  if (writer.rejected() > 0) message("journald refused {} of these entries", writer.rejected());
  return done;
}

}  // namespace

std::unique_ptr<Command> make_journald() { return std::make_unique<Journald>(); }

}  // namespace knell::exporter
