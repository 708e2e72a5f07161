// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/listen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/duration.h"
#include "base/named_process.h"
#include "base/nearest.h"
#include "base/numbers.h"
#include "base/signal_names.h"
#include "cli/daemon_check.h"
#include "cli/parse_error.h"
#include "cli/signals.h"

namespace knell::cli {
namespace {

constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;

struct Flag {
  const char* names;
  const char* key;
  const char* type;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"--pid", "pid", "PID", "these processes"},
    {"--under", "under", "PID", "this process and its descendants"},
    {"-C,--comm", "comm", "GLOB", "the name of the process (comm, 15 bytes)"},
    {"--exe", "exe", "GLOB", "the path of its program"},
    {"--uid", "uid", "UID", "its real user id"},
    {"--user", "user", "NAME", "its user's name"},
    {"-u,--unit", "unit", "GLOB", "its systemd unit, with or without .service"},
    {"--cgroup", "cgroup", "PATH", "its cgroup, and those below"},
    {"--container", "container", "ID", "its container's id, or the beginning of that id"},
    {"--tty", "tty", "GLOB", "its controlling terminal: pts/3, ttyS*"},
    {"--ended", "ended", "WHAT", "how it ended: 2-255, 0, SIGKILL, signal, core, oom, unknown"},
    {"--exit-code", "ended", "CODES", "numbers and ranges: 1, 2-255"},
    {"--signal", "ended", "SIGNAL", "the signal that killed it: SIGKILL, KILL, 9, any"},
    {"--longer", "longer", "TIME", "it ran longer than this"},
    {"--shorter", "shorter", "TIME", "it ran shorter than this"},
};

bool is_of_ends(std::string_view key) {
  return key == "ended" || key == "longer" || key == "shorter";
}

std::string long_name(const Flag& flag) {
  const std::string_view names(flag.names);
  return std::string(names.substr(names.find("--")));
}

template <class F>
Outcome<std::string> map_words(std::string_view list, F map) {
  std::string out;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    std::string_view word = list.substr(at, comma - at);
    const bool negated = word.starts_with('!');
    if (negated) word.remove_prefix(1);
    KNELL_ASSIGN(const std::string mapped, map(word));
    if (at != 0) out += ',';
    if (negated) out += '!';
    out += mapped;
    at = comma + 1;
  }
  return out;
}

Outcome<std::string> exit_code_word(std::string_view word) {
  const size_t dash = word.find('-');
  const bool range = dash != std::string_view::npos;
  if (parse_number(word.substr(0, dash), 0, 255) &&
      (!range || parse_number(word.substr(dash + 1), 0, 255))) {
    return std::string(word);
  }
  return usage("--exit-code takes numbers from 0 to 255 and ranges such as 2-255, not '{}'", word);
}

// A bare number is a signal here, while the predicate `ended` takes it for an exit code.
Outcome<std::string> signal_word(std::string_view word) {
  if (word == "any") return std::string("signal");
  const auto number = parse_number(word, INT64_MIN, INT64_MAX);
  // "1-9" would be a range of exit codes to the predicate.
  if (!number && word.find_first_not_of("0123456789-") == std::string_view::npos && !word.empty())
    return usage("--signal takes signals such as SIGKILL, 9 or any, not '{}'", word);
  if (!number) return std::string(word);
  if (*number < 1 || *number > SIGRTMAX) {
    return usage("--signal: no signal {}; a number must be from 1 to {}", *number, SIGRTMAX);
  }
  return std::string(signal_name(static_cast<int>(*number)));
}

// Refuses the id of a thread, or an id that no process has: it would never match.
Outcome<std::string> process_word(const std::string& flag, std::string_view word) {
  const auto id = parse_number(word, 1, INT32_MAX);
  if (!id) return std::string(word);  // the library reports what is wrong with it
  const auto pid = static_cast<pid_t>(*id);
  if (const auto process = process_of_thread(pid))
    return failed("{} {}: {} is a thread of process {}, not a process", flag, word, word, *process);
  if (const auto named = open_named_process(pid, 0); !named && named.error().code == ESRCH)
    return failed("{}: {}", flag, named.error().message());
  return std::string(word);
}

// The library's error, with the flag that was typed in place of the predicate's key.
Failure match_failure(const std::string& flag, const std::string& key, int error) {
  std::string_view words = knell_explain();
  if (words.starts_with(key + ": ")) words.remove_prefix(key.size() + 2);
  return {error == EINVAL ? kUsage : kFailed, fmt::format("{}: {}", flag, words)};
}

}  // namespace

Outcome<std::string> Selection::library_words(const std::string& flag,
                                              const std::string& value) const {
  if (flag == "--exit-code") return map_words(value, exit_code_word);
  if (flag == "--signal") return map_words(value, signal_word);
  return value;
}

void Selection::add_events_option(CommandLine& line, const std::string& help) {
  line.add_values("-e,--events", events_, "EVENTS", help);
}

void Selection::add_predicate_options(CommandLine& line) { add_predicate_options(line, true); }

void Selection::add_live_predicate_options(CommandLine& line) {
  add_predicate_options(line, false);
}

void Selection::add_predicate_options(CommandLine& line, bool of_ends) {
  predicates_.clear();
  std::vector<Flag> flags;
  for (const Flag& flag : kFlags) {
    if (!of_ends && is_of_ends(flag.key)) continue;
    flags.push_back(flag);
    predicates_.push_back({long_name(flag), flag.key, {}});
  }
  for (size_t i = 0; i < predicates_.size(); ++i) {
    const Flag& flag = flags[i];
    line.add_values(flag.names, predicates_[i].values, flag.type, flag.help,
                    "Predicates (commas and repeats: any value must match; !VALUE: must not match; "
                    "different flags: all must match)");
  }
}

Outcome<uint32_t> Selection::events(uint32_t unless_given) const {
  if (events_.empty()) return unless_given;
  uint32_t mask = 0;
  const std::string joined = fmt::format("{}", fmt::join(events_, ","));
  if (knell_events_parse(joined.c_str(), &mask) < 0) return usage("-e: {}", knell_explain());
  return mask;
}

Outcome<void> Selection::check_exits(uint32_t mask) const {
  for (const Predicate& p : predicates_) {
    const bool of_exits = is_of_ends(p.key);
    if (!of_exits || p.values.empty()) continue;
    if ((mask & kExits) == 0) {
      return usage("{} matches exits only, but -e {} selects none: add exit or nonzero-exit",
                   p.flag, events_text(mask));
    }
    const bool zero_only = p.key == "ended" && p.values == std::vector<std::string>{"0"};
    if (zero_only && (mask & kExits) == KNELL_EVENT_NONZERO_EXIT) {
      return usage("{} 0 matches no event of -e nonzero-exit: use -e exit", p.flag);
    }
  }
  return {};
}

// Whether a predicate with this key has this value, with or without a !.
bool Selection::names(std::string_view key, std::string_view word) const {
  bool found = false;
  for (const Predicate& p : predicates_) {
    if (p.key != key) continue;
    for (const std::string& value : p.values)
      std::ignore = map_words(value, [&](std::string_view one) {
        found = found || one == word;
        return Outcome<std::string>(std::string(one));
      });
  }
  return found;
}

Outcome<void> Selection::check(uint32_t mask, const Selection* present) const {
  for (const Predicate& p : predicates_) {
    for (const std::string& value : p.values) {
      // Checked here and not in apply(): by then the process may have died, and its exit must be
      // reported. The library refuses an `under` of a process that has ended, since the
      // descendants of that cannot be found any more.
      if (live_ && (p.key == "pid" || p.key == "under"))
        KNELL_TRY(map_words(value, [&](std::string_view w) {
          const bool in_use = p.key == "pid" && present != nullptr && present->names(p.key, w);
          return in_use ? Outcome<std::string>(std::string(w)) : process_word(p.flag, w);
        }));
      KNELL_ASSIGN(const std::string words, library_words(p.flag, value));
      const int result = knell_check_match(p.key.c_str(), words.c_str());
      if (result < 0) return std::unexpected(match_failure(p.flag, p.key, -result));
    }
  }
  return check_exits(mask);
}

Outcome<void> Selection::apply(Listener& listener) const {
  for (const Predicate& p : predicates_) {
    for (const std::string& value : p.values) {
      KNELL_ASSIGN(const std::string words, library_words(p.flag, value));
      if (const auto error = listener.match(p.key, words)) {
        return std::unexpected(match_failure(p.flag, p.key, error.value()));
      }
    }
  }
  return {};
}

bool Selection::has(std::string_view key) const {
  for (const Predicate& p : predicates_) {
    if (p.key == key && !p.values.empty()) return true;
  }
  return false;
}

bool Selection::empty() const {
  for (const Predicate& p : predicates_) {
    if (!p.values.empty()) return false;
  }
  return true;
}

namespace {

// Splits into words as a shell does; no word is expanded.
Outcome<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\0' && c == ' ') {
      inside = false;
      continue;
    }
    if (!std::exchange(inside, true)) words.emplace_back();
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      words.back() += text[++i];
    } else {
      words.back() += c;
    }
  }
  if (quote != '\0') return usage("a quote {} is not closed", quote);
  return words;
}

std::string shell_word(const std::string& value) {
  if (value.find_first_of(" '\"\\") == std::string::npos && !value.empty()) return value;
  std::string out = "'";
  for (const char c : value) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string Selection::text() const {
  std::string out;
  for (const Predicate& p : predicates_) {
    for (const std::string& value : p.values)
      out += fmt::format("{}{} {}", out.empty() ? "" : " ", p.flag, shell_word(value));
  }
  return out;
}

Outcome<Selection> Selection::parse(std::string_view text) {
  KNELL_ASSIGN(std::vector<std::string> words, split_words(text));
  Selection selection;
  CommandLine line("knell watch");
  selection.add_predicate_options(line);
  const auto parsed = line.parse(std::move(words));
  if (!parsed) return usage("{}", describe_error(line, parsed.error()));
  if (const std::string empty = line.option_with_empty_value(); !empty.empty())
    return usage("{} needs a value", empty);
  return selection;
}

std::string Selection::describe_processes(std::string_view scope) const {
  std::vector<std::string> parts;
  for (const Predicate& p : predicates_) {
    if (p.values.empty()) continue;
    parts.push_back(
        fmt::format("{} {}", p.flag, printable(fmt::format("{}", fmt::join(p.values, ",")))));
  }
  if (parts.empty()) return fmt::format("all processes{}", scope);
  return fmt::format("processes{} with {}", scope, fmt::join(parts, " "));
}

void ListenFlags::add_options(CommandLine& line) {
  line.add_value("--via", via, "SOURCE", "the source: auto, daemon, bpf, connector");
  line.add_value("--details", details, "LEVEL",
                 "how much an event contains: status, names, full (default)");
  line.add_flag("--threads", threads, "report the kernel's events of threads unchanged");
  line.add_flag("--recover", recover, "after lost events, find the missing events and report them");
  line.add_value("--latency", latency, "TIME",
                 "maximum delay of an event in a burst (default 10ms)");
  line.add_value("--buffer", buffer, "SIZE",
                 "size of the kernel's buffer for events not yet read (default 64M)");
  line.add_value("--args", args, "SIZE",
                 "maximum size of an event's arguments with bpf (default 1K)");
}

namespace {

Outcome<uint32_t> details_level(const std::string& word) {
  static constexpr std::string_view kLevels[] = {"full", "names",
                                                 "status"};  // indexed by knell_details
  if (word.empty()) return static_cast<uint32_t>(KNELL_DETAILS_FULL);
  for (uint32_t i = 0; i < std::size(kLevels); ++i) {
    if (word == kLevels[i]) return i;
  }
  return usage("--details takes status, names or full, not '{}'", printable(word));
}

Outcome<uint32_t> source_of(const std::string& word) {
  static constexpr std::string_view kNames[] = {"auto", "connector", "bpf", "daemon"};
  uint32_t via = 0;
  if (std::ranges::find(kNames, word) != std::end(kNames) &&
      knell_via_parse(word.c_str(), &via) == 0)
    return via;
  if (word == "pidfd") return usage("--via pidfd needs PIDs to wait for: use knell wait PID...");
  const std::string_view near = nearest(word, kNames);
  if (!near.empty())
    return usage("--via: unknown source '{}'; did you mean {}?", printable(word), near);
  return usage("--via takes auto, daemon, bpf or connector, not '{}'", printable(word));
}

// In knell_options, a latency of 0 means the default.
int64_t latency_ns(std::chrono::nanoseconds latency) {
  return latency.count() == 0 ? KNELL_LATENCY_NONE : latency.count();
}

}  // namespace

std::string_view ListenFlags::given() const {
  if (via != "auto") return "--via";
  if (!details.empty()) return "--details";
  if (threads) return "--threads";
  if (recover) return "--recover";
  if (!latency.empty()) return "--latency";
  if (!buffer.empty()) return "--buffer";
  return args.empty() ? "" : "--args";
}

Outcome<Options> ListenFlags::options(uint32_t mask) const {
  using namespace std::chrono_literals;
  constexpr int64_t kLatencyNs = 10'000'000;
  constexpr auto kMostLatency = 60s;  // chosen, not measured: a longer time is likely a wrong unit
  constexpr uint64_t kLeastBuffer = 4096, kMostArgs = 4096;
  constexpr uint64_t kMostBuffer = 0x3fffffff;  // SO_RCVBUFFORCE doubles it in an int
  Options out;
  out.events = mask;
  out.level = threads ? KNELL_LEVEL_RAW : KNELL_LEVEL_PROCESS;
  if (threads && recover) return usage("--recover cannot be used with --threads");
  out.recover = recover ? 1 : 0;
  out.latency_ns = kLatencyNs;
  KNELL_ASSIGN(out.details, details_level(details));
  KNELL_ASSIGN(out.via, source_of(via));
  if (!latency.empty()) {
    const auto time = parse_duration(latency);
    if (!time) return usage("--latency: {}", time.error().message());
    if (*time > kMostLatency)
      return usage("--latency must be at most 60s, not {}; 10ms is usual", latency);
    out.latency_ns = latency_ns(*time);
  }
  if (!buffer.empty()) {
    const auto bytes = parse_size(buffer);
    if (!bytes)
      return usage("--buffer: '{}' is not a size: write for example 256K, 64M or 1000000",
                   printable(buffer));
    if (*bytes < kLeastBuffer || *bytes > kMostBuffer) {
      return usage("--buffer must be from 4K to 1023M, not {}", buffer);
    }
    out.buffer_bytes = static_cast<size_t>(*bytes);
  }
  if (!args.empty()) {
    const auto bytes = parse_size(args);
    if (!bytes || *bytes < 1 || *bytes > kMostArgs)
      return usage("--args must be from 1 to 4K bytes, not {}", printable(args));
    out.args_bytes = static_cast<uint32_t>(*bytes);
  }
  return out;
}

std::string events_help(std::string_view unless_given) {
  return fmt::format(
      "fork exec uid gid sid ptrace comm nonzero-exit coredump exit all,\n"
      "comma-separated; -NAME removes one (default {})",
      unless_given);
}

Outcome<uint64_t> parse_count(const std::string& text) {
  const auto count = parse_number(text, 1, INT64_MAX);
  if (!count) return usage("-n takes a number from 1 on, not '{}'", printable(text));
  return static_cast<uint64_t>(*count);
}

Outcome<std::vector<pid_t>> parse_pids(const std::vector<std::string>& words) {
  constexpr int64_t kMostPid = 4'194'304;  // PID_MAX_LIMIT, linux/threads.h
  std::vector<pid_t> pids;
  std::unordered_set<pid_t> seen;
  for (const std::string& word : words) {
    const auto pid = parse_number(word, 1, kMostPid);
    if (!pid)
      return usage("'{}' is not a PID, which must be a number from 1 to {}", printable(word),
                   kMostPid);
    if (*pid == ::getpid())
      return usage("{} is the PID of this knell command, which cannot wait for itself", *pid);
    if (seen.insert(static_cast<pid_t>(*pid)).second) pids.push_back(static_cast<pid_t>(*pid));
  }
  return pids;
}

Outcome<Listener> open_listener(const Options& options) {
  std::error_code error;
  Listener listener = Listener::open(options, error);
  if (listener) return listener;
  const int code = error.value();
  const bool by_daemon = options.via == KNELL_VIA_DAEMON || options.durable != nullptr;
  if (by_daemon && (code == ENOENT || code == ECONNREFUSED))
    return fail(kNothingHere, explain_no_daemon());
  const bool no_daemon = by_daemon && code != EINVAL;
  const bool nothing_here = no_daemon || code == EPERM || code == EACCES ||
                            code == EPROTONOSUPPORT || code == ENOTSUP || code == ECONNREFUSED ||
                            code == ENOSYS;
  return fail(nothing_here ? kNothingHere : code == EINVAL ? kUsage : kFailed, knell_explain());
}

Outcome<Listener> open_recording(const std::string& path, const ReplayOptions& options) {
  std::error_code error;
  for (;;) {
    Listener listener = Listener::open_recording(path, options, error);
    if (listener) return listener;
    // Opening a recording from a pipe blocks. If a signal interrupts it, try again unless this
    // process has to stop.
    if (error.value() != EINTR) return fail(kFailed, knell_explain());
    if (Signals::ending()) return fail(kDone, "stopped before the recording began");
  }
}

}  // namespace knell::cli
