// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell history`: shows the events that knelld has stored. Uses the main loop of `knell watch`.
#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <knell/knell.hpp>
#include <memory>

#include "base/file_lock.h"
#include "cli/command.h"
#include "cli/journal_flags.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

// The table, with a line for each day.
class DatedTable final : public View {
 public:
  DatedTable(uint32_t mask, const Screen& screen, std::vector<Field> columns)
      : table_(mask, false, screen, std::move(columns)), screen_(screen) {}
  void begin(std::string& out) override { table_.begin(out); }
  void add(const knell_event& event, std::string& out) override {
    const auto seconds = static_cast<time_t>(event.time_ns / 1'000'000'000);
    tm local{};
    ::localtime_r(&seconds, &local);
    if (local.tm_yday != day_ || local.tm_year != year_) {
      day_ = local.tm_yday;
      year_ = local.tm_year;
      paint(out,
            fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday),
            Colour::kDim, screen_);
      out += '\n';
    }
    table_.add(event, out);
  }
  void resize(const Screen& screen) override {
    screen_ = screen;
    table_.resize(screen);
  }

 private:
  Table table_;
  Screen screen_;
  int day_ = -1, year_ = -1;
};

class History final : public Command {
 public:
  std::string_view name() const override { return "history"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override { return "shows events that knelld has stored"; }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<WatchPlan> plan() const;
  Outcome<HistoryOptions> history_options(uint32_t mask) const;
  Outcome<int> verify() const;

  Selection selection_;
  JournalFlags journal_;
  std::string format_, count_;
  std::vector<std::string> by_;
  bool follow_ = false, verify_ = false;
};

std::string_view History::notes() const {
  return "TIME: 1h or '1h ago', yesterday, today, 06:00, '2026-11-23 06:00', @1790000000.\n"
         "[journal] of knelld.toml(5) selects the events to store; by default failures only.\n"
         "\n"
         "Exit status: 0 done, also without events; 1 failed, or the journal is damaged; 2 wrong\n"
         "usage; 3 there is no journal, or it may not be read.\n"
         "\n"
         "Examples:\n"
         "  knell history -S 1h                       what failed in the last hour\n"
         "  knell history -S yesterday -U today -u cron\n"
         "  knell history -b --ended signal,core      what crashed since the boot\n"
         "  knell history -S 1h -e nonzero-exit --by comm,ended\n"
         "  knell history -f -o json                  the last ten, and what follows\n";
}

void History::add_options(CommandLine& line) {
  journal_.add_time_options(line);
  line.add_value("-n,--count", count_, "COUNT", "the last COUNT events");
  line.add_flag(
      "-f,--follow", follow_,
      "the last ten events, or those of -S, -b or -n,\nand then new events as they are stored");
  selection_.add_events_option(line, events_help("all"));
  line.add_value("-o,--output", format_, "FORMAT", kOutputHelp);
  line.add_values("--by", by_, "KEY,...",
                  "count events, not list them, by type ended comm exe unit user\n"
                  "uid cgroup container parent pid");
  journal_.add_file_option(line);
  line.add_flag("--verify", verify_, "check the whole journal, and show no events");
  selection_.add_predicate_options(line);
}

Outcome<HistoryOptions> History::history_options(uint32_t mask) const {
  constexpr uint64_t kLastOfFollow = 10;  // the same number as in tail -f and journalctl -f
  KNELL_ASSIGN(HistoryOptions options, journal_.options(mask));
  options.follow = follow_ ? 1 : 0;
  if (follow_ && options.until_ns != 0) return usage("-f cannot be used with -U");
  if (!count_.empty()) {
    KNELL_ASSIGN(options.last, parse_count(count_));
  } else if (follow_ && journal_.since.empty() && !journal_.boot && by_.empty()) {
    options.last = kLastOfFollow;
  }
  return options;
}

Outcome<WatchPlan> History::plan() const {
  using namespace std::chrono_literals;
  WatchPlan plan;
  plan.selection = selection_;
  plan.selection.set_recorded();
  plan.interval = 3s;
  KNELL_ASSIGN(plan.options.events, selection_.events(KNELL_EVENT_ALL));
  if (!by_.empty()) {
    KNELL_ASSIGN(plan.by, parse_keys(by_));
  }
  KNELL_TRY(parse_output_option(plan, format_));
  KNELL_TRY(plan.selection.check(plan.options.events));
  return plan;
}

Outcome<int> History::verify() const {
  std::error_code error;
  const auto findings = verify_journal(journal_.path(), error);
  const std::string why = error ? knell_explain() : "";
  OutputBuffer out(STDOUT_FILENO, "standard output");
  for (const Finding& finding : findings) out.buffer() += printable(finding.text) + "\n";
  KNELL_TRY(out.flush());
  if (!error) return kDone;
  const bool here = error.value() != ENOENT && error.value() != EACCES;
  return fail(here ? kFailed : kNothingHere, why);
}

Outcome<int> History::execute(std::vector<std::string>) {
  if (verify_) return verify();
  KNELL_ASSIGN(WatchPlan plan, this->plan());
  KNELL_ASSIGN(const HistoryOptions options, history_options(plan.options.events));
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM}, {}));
  auto opened = open_journal(journal_.journal, options);
  if (!opened && opened.error().status == kDone) {
    message("knell history: {}\n", opened.error().line);
    return kDone;
  }
  KNELL_ASSIGN(Listener listener, std::move(opened));
  plan.read = journal_text(listener, journal_);
  if (listener.stats().daemon == KNELL_DAEMON_NONE && !is_locked(journal_.path() + "-lock"))
    plan.read += ", to which no knelld writes";
  KNELL_TRY(plan.selection.apply(listener));
  KNELL_TRY(drop_privileges({CAP_DAC_READ_SEARCH}));  // to reopen a journal file that was replaced
  std::unique_ptr<View> view;
  if (!plan.output.is_data() && plan.by.empty())
    view = std::make_unique<DatedTable>(plan.options.events, Screen::of(plan.out),
                                        plan.output.columns);
  return Watching(plan, listener, signals, nullptr, std::move(view)).run();
}

}  // namespace

std::unique_ptr<Command> make_history() { return std::make_unique<History>(); }

}  // namespace knell::cli
