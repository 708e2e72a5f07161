// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/rivals/rivals.h"

#include <knell/cn_proc.h>

#include <algorithm>
#include <charconv>

#include "bench/frame/program.h"

namespace knell::bench {
namespace {

constexpr uint32_t kForkExecExit = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;
constexpr size_t kSnoopName = 16;  // exitsnoop and execsnoop print "%-16s %-6d"

using Parse = std::optional<Arrival> (*)(std::string_view);

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return words;
    const size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

// The number that a word begins with, and nothing when it does not.
std::optional<int32_t> pid_of(std::string_view word) {
  int32_t pid = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
  if (error != std::errc() || pid <= 0) return std::nullopt;
  return pid;
}

std::optional<Arrival> parse_snoop(std::string_view line, uint32_t type) {
  if (line.size() <= kSnoopName) return std::nullopt;
  // A name of 16 letters does not end there: the pid is the first number behind.
  const auto words = words_of(line.substr(kSnoopName));
  const auto pid = words.empty() ? std::nullopt : pid_of(words.front());
  if (!pid) return std::nullopt;
  return Arrival{type, *pid};
}

std::optional<Arrival> parse_first_number(std::string_view line, uint32_t type) {
  const auto pid = pid_of(line);
  if (!pid) return std::nullopt;
  return Arrival{type, *pid};
}

std::optional<Arrival> parse_bpftrace_exit(std::string_view line) {
  return parse_first_number(line, KNELL_EVENT_EXIT);
}
std::optional<Arrival> parse_bpftrace_exec(std::string_view line) {
  return parse_first_number(line, KNELL_EVENT_EXEC);
}

// One way to start a rival.
struct Way {
  std::string_view name;     // shown: "exitsnoop -x"
  std::string_view rival;    // the program's
  std::string_view package;  // Debian's
  std::vector<StormKind> sees;
  std::vector<std::string> words;
  uint32_t events;
  bool tracing;
  Parse parse;
};

const std::vector<Way>& ways() {
  using enum StormKind;
  static const std::vector<StormKind> ends = {kVfork, kFork, kThread, kBurst};
  static const std::vector<StormKind> execs = {kExec};
  static const std::vector<Way> all = {
      {"forkstat -e exit",
       "forkstat",
       "forkstat",
       ends,
       {"forkstat", "-e", "exit"},
       KNELL_EVENT_EXIT,
       false,
       parse_forkstat},
      {"forkstat -e fork,exec,exit",
       "forkstat",
       "forkstat",
       execs,
       {"forkstat", "-e", "fork,exec,exit"},
       kForkExecExit,
       false,
       parse_forkstat},
      {"extrace -t",
       "extrace",
       "extrace",
       execs,
       {"extrace", "-t"},
       KNELL_EVENT_EXEC | KNELL_EVENT_EXIT,
       false,
       parse_extrace},
      {"exitsnoop -x",
       "exitsnoop",
       "libbpf-tools",
       ends,
       {"exitsnoop", "-x"},
       KNELL_EVENT_NONZERO_EXIT,
       true,
       parse_exitsnoop},
      {"exitsnoop",
       "exitsnoop",
       "libbpf-tools",
       ends,
       {"exitsnoop"},
       KNELL_EVENT_EXIT,
       true,
       parse_exitsnoop},
      {"execsnoop",
       "execsnoop",
       "libbpf-tools",
       execs,
       {"execsnoop"},
       KNELL_EVENT_EXEC,
       true,
       parse_execsnoop},
      {"bpftrace, exits",
       "bpftrace",
       "bpftrace",
       ends,
       {"bpftrace", "-e",
        "tracepoint:sched:sched_process_exit { printf(\"%d %s\\n\", pid, comm); }"},
       KNELL_EVENT_EXIT,
       true,
       parse_bpftrace_exit},
      {"bpftrace, execs",
       "bpftrace",
       "bpftrace",
       execs,
       {"bpftrace", "-e",
        "tracepoint:sched:sched_process_exec { printf(\"%d %s %s\\n\", pid, comm, "
        "str(args->filename)); }"},
       KNELL_EVENT_EXEC,
       true,
       parse_bpftrace_exec},
  };
  return all;
}

}  // namespace

// "16:46:24 exit  26033      0   0.002s mkdir -p"; a fork is two lines, parent and child.
std::optional<Arrival> parse_forkstat(std::string_view line) {
  const auto words = words_of(line);
  const auto pid = words.size() < 4 ? std::nullopt : pid_of(words[2]);
  if (!pid) return std::nullopt;
  if (words[1] == "exit") return Arrival{KNELL_EVENT_EXIT, *pid};
  if (words[1] == "exec") return Arrival{KNELL_EVENT_EXEC, *pid};
  if (words[1] == "fork" && words[3] == "child") return Arrival{KNELL_EVENT_FORK, *pid};
  return std::nullopt;
}

// "    26033+ mkdir -p x" and "    26033- mkdir exited status=0 time=0.002s".
std::optional<Arrival> parse_extrace(std::string_view line) {
  const auto words = words_of(line);
  const auto pid = words.empty() ? std::nullopt : pid_of(words.front());
  if (!pid) return std::nullopt;
  if (words.front().ends_with('+')) return Arrival{KNELL_EVENT_EXEC, *pid};
  if (words.front().ends_with('-')) return Arrival{KNELL_EVENT_EXIT, *pid};
  return std::nullopt;
}

std::optional<Arrival> parse_exitsnoop(std::string_view line) {
  return parse_snoop(line, KNELL_EVENT_EXIT);
}
std::optional<Arrival> parse_execsnoop(std::string_view line) {
  return parse_snoop(line, KNELL_EVENT_EXEC);
}

std::vector<std::string_view> rival_names() {
  std::vector<std::string_view> names;
  for (const Way& way : ways()) {
    if (std::ranges::find(names, way.rival) == names.end()) names.push_back(way.rival);
  }
  return names;
}

std::vector<std::unique_ptr<Contender>> make_rivals(StormKind kind,
                                                    const std::vector<std::string>& names,
                                                    Report& report) {
  std::vector<std::unique_ptr<Contender>> contenders;
  for (const Way& way : ways()) {
    if (!names.empty() && std::ranges::find(names, way.rival) == names.end()) continue;
    if (std::ranges::find(way.sees, kind) == way.sees.end()) continue;
    if (find_program(way.rival).empty()) {
      report.absent(std::string(way.rival), fmt::format("not installed (Debian: {})", way.package));
      continue;
    }
    contenders.push_back(make_program({.name = std::string(way.name),
                                       .words = way.words,
                                       .events = way.events,
                                       .tracing = way.tracing,
                                       .parse = way.parse}));
  }
  return contenders;
}

}  // namespace knell::bench
