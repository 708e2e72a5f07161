// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell history`: shows the events that knelld has stored. The loop is that of `watch`.
#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <knell/knell.hpp>
#include <memory>

#include "base/clock.h"
#include "base/numbers.h"
#include "base/time_point.h"
#include "cli/command.h"
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
  std::string path() const { return journal_.empty() ? KNELL_JOURNAL_PATH : journal_; }

  Selection selection_;
  std::string journal_, format_, since_, until_, count_;
  std::vector<std::string> by_;
  bool boot_ = false, follow_ = false, verify_ = false;
};

std::string_view History::notes() const {
  return "TIME: 1h or '1h ago', yesterday, today, 06:00, '2026-11-23 06:00', @1790000000.\n"
         "What is stored is said in [journal] of knelld.toml(5); by default failures only.\n"
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
  line.add_value("-S,--since", since_, "TIME", "events from this time on");
  line.add_value("-U,--until", until_, "TIME", "events up to this time");
  line.add_flag("-b,--boot", boot_, "events since the machine was booted");
  line.add_value("-n,--count", count_, "COUNT", "the last COUNT events");
  line.add_flag(
      "-f,--follow", follow_,
      "the last ten events, or those of -S, -b or -n,\nand then events as they are stored");
  selection_.add_events_option(line,
                               "fork exec uid gid sid ptrace comm nonzero-exit coredump exit all,\n"
                               "comma-separated; -NAME removes one (default all)");
  line.add_value("-o,--output", format_, "FORMAT", kOutputHelp);
  line.add_values("--by", by_, "KEY,...",
                  "count events, not list them, by type ended comm exe unit user\n"
                  "uid cgroup container parent pid");
  line.add_value("--journal", journal_, "FILE",
                 "read this journal (default " KNELL_JOURNAL_PATH ")");
  line.add_flag("--verify", verify_, "check the whole journal, and show no events");
  selection_.add_predicate_options(line);
}

Outcome<HistoryOptions> History::history_options(uint32_t mask) const {
  constexpr uint64_t kLastOfFollow = 10;  // as tail -f and journalctl -f
  const int64_t now = system_clock().realtime_ns();
  const auto time = [&](std::string_view flag, const std::string& text) -> Outcome<int64_t> {
    if (text.empty()) return 0;
    const auto ns = parse_time(text, now);
    if (!ns) return usage("{}: {}", flag, ns.error().message());
    return std::max<int64_t>(*ns, 1);
  };
  HistoryOptions options;
  options.events = mask;
  options.follow = follow_ ? 1 : 0;
  options.this_boot = boot_ ? 1 : 0;
  KNELL_ASSIGN(options.since_ns, time("-S", since_));
  KNELL_ASSIGN(options.until_ns, time("-U", until_));
  if (options.until_ns != 0 && options.until_ns < options.since_ns)
    return usage("-U {} is before -S {}", printable(until_), printable(since_));
  if (follow_ && options.until_ns != 0) return usage("-f cannot be used with -U");
  if (!count_.empty()) {
    const auto count = parse_number(count_, 1, INT64_MAX);
    if (!count) return usage("-n takes a number from 1 on, not '{}'", printable(count_));
    options.last = static_cast<uint64_t>(*count);
  } else if (follow_ && since_.empty() && !boot_ && by_.empty()) {
    options.last = kLastOfFollow;
  }
  return options;
}

Outcome<WatchPlan> History::plan() const {
  using namespace std::chrono_literals;
  WatchPlan plan;
  plan.selection = selection_;
  plan.selection.set_recorded();
  plan.read = path();
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
  const auto findings = verify_journal(path(), error);
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
  KNELL_ASSIGN(const WatchPlan plan, this->plan());
  KNELL_ASSIGN(const HistoryOptions options, history_options(plan.options.events));
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM}, {}));
  std::error_code error;
  Listener listener = Listener::open_history(plan.read, options, error);
  if (error.value() == ENODATA) {
    message("knell history: {}\n", knell_explain());
    return kDone;
  }
  if (error.value() == ENOENT || error.value() == EACCES)
    return fail(kNothingHere, knell_explain());
  if (error) return fail(kFailed, knell_explain());
  KNELL_TRY(plan.selection.apply(listener));
  KNELL_TRY(drop_privileges({CAP_DAC_READ_SEARCH}));  // for a journal that takes the place of this
  std::unique_ptr<View> view;
  if (!plan.output.is_data() && plan.by.empty())
    view = std::make_unique<DatedTable>(plan.options.events, Screen::of(plan.out),
                                        plan.output.columns);
  return Watching(plan, listener, signals, nullptr, std::move(view)).run();
}

}  // namespace

std::unique_ptr<Command> make_history() { return std::make_unique<History>(); }

}  // namespace knell::cli
