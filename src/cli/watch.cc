// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The command line of `knell watch`, checked as far as possible before anything is opened. The main
// loop is in watching.cc.
#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <knell/knell.hpp>
#include <optional>

#include "base/duration.h"
#include "base/numbers.h"
#include "base/privilege.h"
#include "base/scheduling.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

using std::chrono::nanoseconds;

class Watch final : public Command {
 public:
  std::string_view name() const override { return "watch"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override { return "shows events as they happen"; }
  std::string_view notes() const override;
  Tail tail() const override { return Tail::kAfterExecOption; }
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<WatchPlan> plan(bool exec) const;
  Outcome<void> plan_counting(WatchPlan& plan, bool exec) const;
  Outcome<void> plan_recording(WatchPlan& plan) const;
  Outcome<void> plan_durable(WatchPlan& plan) const;
  Outcome<HookOptions> hook_options(bool exec) const;
  Outcome<void> limit_to_recording(WatchPlan& plan, Listener& listener) const;

  Selection selection_;
  ListenFlags listen_;
  EndFlags end_;
  std::string format_, interval_, read_, speed_, exec_limit_, exec_jobs_, exec_timeout_, durable_,
      from_;
  std::vector<std::string> by_;
  bool exec_ = false;  // for --help only: take_tail() removes --exec before the words are parsed
};

std::string_view Watch::notes() const {
  return "Exit status: 0 after -n, -d, Ctrl-C, SIGTERM or a closed pipe; 1 failed; 2 wrong usage;\n"
         "3 nothing can be observed here (knell doctor shows why).\n"
         "\n"
         "Examples:\n"
         "  knell watch -e nonzero-exit               which processes fail, and how\n"
         "  knell watch -e exit --ended signal,core   what crashes\n"
         "  knell watch -e exec -C '!grep' --user www-data\n"
         "  knell watch -e nonzero-exit -o json -n 1  the next failure, as JSON\n"
         "  knell watch -e exec --by comm,unit -d 1m  what starts all these processes\n"
         "  knell watch -e nonzero-exit -u cron --exec mail -s failed root\n"
         "  knell watch --durable cleanup -e nonzero-exit -o json  with no event missed\n"
         "  knell watch --read night.knell -e nonzero-exit  what failed, in a recording\n";
}

void Watch::add_options(CommandLine& line) {
  selection_.add_events_option(line, events_help("exec,exit"));
  line.add_value("-o,--output", format_, "FORMAT", kOutputHelp);
  end_.add_options(line);
  line.add_values("--by", by_, "KEY,...",
                  "count events, not list them, by type ended comm exe unit user\n"
                  "uid cgroup container parent pid");
  line.add_value("--interval", interval_, "TIME",
                 "time between updates of the counts (default 3s)");
  line.add_flag(
      "--exec", exec_,
      "the rest of the line is a command to run for each event,\nwith its JSON on standard input "
      "and KNELL_PID, KNELL_COMM,\nKNELL_EXIT_CODE, ... set; events are shown only with -o");
  line.add_value("--exec-limit", exec_limit_, "N",
                 "at most N runs of --exec a minute, then one with\nKNELL_SKIPPED, the number of "
                 "further events");
  line.add_value("--exec-jobs", exec_jobs_, "N", "at most N runs of --exec at a time (default 8)");
  line.add_value("--exec-timeout", exec_timeout_, "TIME",
                 "end a run of --exec that takes longer: 30s, 5m");
  line.add_value(
      "--durable", durable_, "LISTENER",
      "use a durable listener of this name: also shows events of\nthe time when neither this "
      "command nor knelld ran");
  line.add_value("--from", from_, "WHERE", "where --durable begins: oldest, newest, or a cursor");
  listen_.add_options(line);
  line.add_value("--read", read_, "FILE",
                 "show the events of a recording (knell record); - for stdin");
  line.add_value("--speed", speed_, "N|max",
                 "how fast --read shows: max (default), 1 as it happened,\n10 ten times as fast");
  selection_.add_predicate_options(line);
}

Outcome<void> Watch::plan_recording(WatchPlan& plan) const {
  if (read_.empty()) return speed_.empty() ? Outcome<void>() : usage("--speed needs --read FILE");
  if (const std::string_view flag = listen_.given(); !flag.empty())
    return usage("{} cannot be used with --read", flag);
  plan.read = read_ == "-" ? "/dev/stdin" : read_;
  if (speed_.empty() || speed_ == "max") return {};
  constexpr double kFastest = 1e6;  // a larger number likely means max
  double speed = 0;
  const char* end = speed_.data() + speed_.size();
  const auto [stop, error] = std::from_chars(speed_.data(), end, speed);
  if (error != std::errc() || stop != end || !(speed > 0) || speed > kFastest)
    return usage("--speed takes max, or a number such as 1, 10 or 0.5, not '{}'",
                 printable(speed_));
  plan.speed = speed;
  return {};
}

Outcome<void> Watch::plan_durable(WatchPlan& plan) const {
  if (durable_.empty()) {
    if (!from_.empty()) return usage("--from needs --durable NAME");
    return {};
  }
  if (!plan.read.empty()) return usage("--durable cannot be used with --read");
  if (!plan.by.empty()) return usage("--durable cannot be used with --by: counts are not kept");
  if (plan.options.level == KNELL_LEVEL_RAW)
    return usage("--durable cannot be used with --threads");
  if (plan.options.via != KNELL_VIA_AUTO && plan.options.via != KNELL_VIA_DAEMON)
    return usage("--durable needs knelld: leave out --via, or use --via daemon");
  plan.durable = durable_;
  if (from_ == "oldest") {
    plan.options.from = KNELL_FROM_OLDEST;
  } else if (from_ == "newest") {
    plan.options.from = KNELL_FROM_NEWEST;
  } else if (!from_.empty()) {
    plan.cursor = from_;
  }
  return {};
}

Outcome<HookOptions> Watch::hook_options(bool exec) const {
  constexpr int64_t kMostRuns = 1'000'000, kMostJobs = 1024;
  HookOptions options;
  for (const auto& [flag, value] :
       {std::pair{"--exec-limit", &exec_limit_}, std::pair{"--exec-jobs", &exec_jobs_},
        std::pair{"--exec-timeout", &exec_timeout_}})
    if (!exec && !value->empty()) return usage("{} needs --exec CMD ARG...", flag);
  const auto limit =
      exec_limit_.empty() ? std::optional<int64_t>(0) : parse_number(exec_limit_, 1, kMostRuns);
  if (!limit)
    return usage("--exec-limit takes a number from 1 to {}, not '{}'", kMostRuns,
                 printable(exec_limit_));
  if (*limit != 0 && !durable_.empty())
    return usage("--exec-limit cannot be used with --durable, which passes every event");
  options.events_a_minute = static_cast<size_t>(*limit);
  if (!exec_jobs_.empty()) {
    const auto jobs = parse_number(exec_jobs_, 1, kMostJobs);
    if (!jobs)
      return usage("--exec-jobs takes a number from 1 to {}, not '{}'", kMostJobs,
                   printable(exec_jobs_));
    options.jobs = static_cast<size_t>(*jobs);
  }
  if (!exec_timeout_.empty()) {
    const auto timeout = parse_duration(exec_timeout_);
    if (!timeout) return usage("--exec-timeout: {}", timeout.error().message());
    if (timeout->count() == 0) return usage("--exec-timeout 0 would end every run at once");
    options.timeout = *timeout;
  }
  options.retry = !durable_.empty();
  return options;
}

Outcome<void> Watch::plan_counting(WatchPlan& plan, bool exec) const {
  using namespace std::chrono_literals;
  constexpr nanoseconds kInterval = 3s;  // as top does
  constexpr nanoseconds kLeast = 10ms;   // chosen, not measured: a shorter interval is unreadable
  plan.interval = kInterval;
  if (by_.empty()) {
    if (!interval_.empty()) return usage("--interval needs --by KEY,...");
    return {};
  }
  if (exec) return usage("--by and --exec cannot be used together");
  KNELL_ASSIGN(plan.by, parse_keys(by_));
  if (interval_.empty()) return {};
  const auto interval = parse_duration(interval_);
  if (!interval) return usage("--interval: {}", interval.error().message());
  if (*interval < kLeast)
    return usage("--interval must be at least 10ms, not {}", printable(interval_));
  plan.interval = *interval;
  return {};
}

// Checks all words, before anything is opened.
Outcome<WatchPlan> Watch::plan(bool exec) const {
  WatchPlan plan;
  plan.selection = selection_;
  KNELL_ASSIGN(const uint32_t mask, selection_.events(KNELL_EVENT_EXEC | KNELL_EVENT_EXIT));
  plan.show = !exec || !format_.empty();
  KNELL_TRY(end_.set(plan));
  KNELL_TRY(plan_counting(plan, exec));
  KNELL_TRY(parse_output_option(plan, format_));
  KNELL_ASSIGN(plan.options, listen_.options(mask));
  KNELL_TRY(plan_recording(plan));
  KNELL_TRY(plan_durable(plan));
  if (!plan.read.empty()) plan.selection.set_recorded();
  KNELL_TRY(plan.selection.check(mask));
  return plan;
}

// Restricts the mask to the events that the recording has.
Outcome<void> Watch::limit_to_recording(WatchPlan& plan, Listener& listener) const {
  const uint32_t has = listener.recording()->events;
  // A recording of all exits includes the non-zero exits.
  const uint32_t shows = has | ((has & KNELL_EVENT_EXIT) != 0 ? KNELL_EVENT_NONZERO_EXIT : 0);
  uint32_t& mask = plan.options.events;
  if (!selection_.events_given()) {
    constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;
    mask = has & (KNELL_EVENT_EXEC | kExits);
    if (mask == 0) mask = has;
  }
  const uint32_t missing = knell_valid_event(mask) & ~shows;
  // A request for all exits matches also a recording of non-zero exits.
  const uint32_t some = (mask & KNELL_EVENT_EXIT) != 0 ? mask | KNELL_EVENT_NONZERO_EXIT : mask;
  if ((knell_valid_event(some) & shows) == 0)
    return usage("-e {}: the recording {} has no such events; it has {}", events_text(mask),
                 printable(plan.read), events_text(has));
  // -e all means all events that the recording has, so nothing is missing.
  if (missing != 0 && selection_.events_given() && knell_valid_event(mask) != KNELL_EVENT_ALL)
    message("knell watch: the recording {} has no {}; it has {}\n", printable(plan.read),
            events_text(missing), events_text(has));
  // The remaining types, for the headline, the table, and the check of the predicates.
  const uint32_t exits = (mask & KNELL_EVENT_EXIT) != 0 ? KNELL_EVENT_NONZERO_EXIT : 0;
  mask = (knell_valid_event(mask) | exits) & shows;
  KNELL_TRY(plan.selection.check(mask));
  if (plan.selection.has("under") && (has & KNELL_EVENT_FORK) == 0)
    message("knell watch: the recording {} has no forks, so --under may miss some processes\n",
            printable(plan.read));
  plan.options.level = listener.recording()->level;
  if (listener.set_events(mask)) return fail(kFailed, knell_explain());
  return {};
}

Outcome<int> Watch::execute(std::vector<std::string> tail) {
  const bool exec = !tail.empty();
  if (exec) tail.erase(tail.begin());  // "--exec"
  if (exec && tail.empty()) return usage("--exec needs a command: --exec CMD ARG...");
  KNELL_ASSIGN(WatchPlan plan, this->plan(exec));
  // Set here, because the plan is not moved after this.
  if (!plan.durable.empty()) plan.options.durable = plan.durable.c_str();
  if (!plan.cursor.empty()) plan.options.cursor = plan.cursor.c_str();
  KNELL_ASSIGN(const HookOptions hook_options, this->hook_options(exec));
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM, SIGCHLD}, {}));
  std::optional<Hook> hook;
  if (exec) {
    KNELL_ASSIGN(hook, Hook::create(std::move(tail), hook_options, signals));
  }
  if (!plan.read.empty() && plan.duration) Signals::end_after(*plan.duration);
  ReplayOptions replay;
  replay.events = plan.options.events;
  replay.speed = plan.speed;
  auto opened = plan.read.empty() ? open_listener(plan.options) : open_recording(plan.read, replay);
  if (!opened && opened.error().status == kDone) return kDone;
  KNELL_ASSIGN(Listener listener, std::move(opened));
  if (!plan.read.empty()) {
    KNELL_TRY(limit_to_recording(plan, listener));
  }
  KNELL_TRY(plan.selection.apply(listener));
  if (!plan.read.empty()) {
    if (!exec) KNELL_TRY(drop_privileges({}));
    return Watching(plan, listener, signals, exec ? &*hook : nullptr).run();
  }
  if (plan.options.details == KNELL_DETAILS_FULL) prefer_latency();
  if (exec) {
    // Processes that CMD starts must not cause further runs of CMD.
    if (listener.match("under", fmt::format("!{}", ::getpid())))
      return fail(kFailed, knell_explain());
  } else {
    // These capabilities are needed to read other users' /proc and to repair the connector.
    KNELL_TRY(drop_privileges({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN}));
  }
  // Subscribes now, so that an error is reported before the headline.
  if (!plan.durable.empty() && listener.flush_acks())
    return fail(kFailed, printable(std::string_view(knell_explain())));
  return Watching(plan, listener, signals, exec ? &*hook : nullptr).run();
}

}  // namespace

std::unique_ptr<Command> make_watch() { return std::make_unique<Watch>(); }

}  // namespace knell::cli
