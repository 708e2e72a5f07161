// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `storm`: how much listeners slow a storm, what they cost, and what they miss.
#include <fmt/ranges.h>
#include <knell/knell.h>

#include <algorithm>

#include "bench/cases/case.h"

namespace knell::bench {
namespace {

constexpr Metric kStormUs{"storm us/process", 2};
constexpr Metric kRatio{"storm, ratio to null", 3};
constexpr Metric kCpu{"CPU ns/process"};
constexpr Metric kReported{"reported"};
constexpr Metric kLost{"lost", 0, Metric::Shown::kSum};

constexpr uint32_t kNonzero = KNELL_EVENT_NONZERO_EXIT;
constexpr uint32_t kExit = KNELL_EVENT_EXIT;
constexpr uint32_t kExec = KNELL_EVENT_EXEC;
constexpr uint32_t kForkExecExit = KNELL_EVENT_FORK | kExec | kExit;

// How to run a program in exec storms, or in the other storms.
struct Usage {
  bool execs;
  // For knell: the name of the row; for a rival: its program and Debian package
  const char *name, *package;
  std::vector<std::string> arguments;
  uint32_t mask;
};
const std::vector<Usage> kWatches = {
    {false, "non-zero, status", "", {"-e", "nonzero-exit", "--details", "status"}, kNonzero},
    {false, "non-zero, full", "", {"-e", "nonzero-exit"}, kNonzero},
    {false, "every exit, full", "", {"-e", "exit"}, kExit},
    {true, "fork, exec and exit, full", "", {"-e", "fork,exec,exit"}, kForkExecExit},
    {true, "non-zero, full", "", {"-e", "nonzero-exit"}, kNonzero},
};
const std::vector<Usage> kRivals = {
    {false, "forkstat", "forkstat", {"-e", "exit"}, kExit},
    {false, "exitsnoop", "libbpf-tools", {"-x"}, kNonzero},
    {false, "exitsnoop", "libbpf-tools", {}, kExit},
    {true, "forkstat", "forkstat", {"-e", "fork,exec,exit"}, kForkExecExit},
    {true, "extrace", "extrace", {"-t"}, kExec | kExit},
    {true, "execsnoop", "libbpf-tools", {}, kExec},
};

std::vector<std::string> command_of(std::vector<std::string> command, const Usage& usage) {
  command.insert(command.end(), usage.arguments.begin(), usage.arguments.end());
  return command;
}

void add_knell(Part& part, const Options& options, bool execs, const std::string& via) {
  for (const std::string& knell : options.knell) {
    const std::string which = options.knell.size() == 1 ? "" : fmt::format(" ({})", knell);
    for (const Usage& watch : kWatches) {
      if (watch.execs != execs) continue;
      part.contenders.push_back(make_program(
          fmt::format("knell {}, {}{}", via, watch.name, which),
          command_of({knell, "watch", "-o", "json", "--via", via}, watch), watch.mask));
    }
  }
}

void add_rivals(Part& part, const Options& options, bool execs, Report& report) {
  for (const Usage& rival : kRivals) {
    const bool is_named = options.rivals.empty() ||
                          std::ranges::find(options.rivals, rival.name) != options.rivals.end();
    if (!is_named || rival.execs != execs) continue;
    if (find_program(rival.name).empty()) {
      report.absent(rival.name, fmt::format("not installed (Debian: {})", rival.package));
      continue;
    }
    const auto command = command_of({rival.name}, rival);
    part.contenders.push_back(
        make_program(fmt::format("{}", fmt::join(command, " ")), command, rival.mask));
  }
}

Part make_part(StormKind kind, Run& run, const std::vector<Source>& sources) {
  const Options& options = run.options;
  const bool execs = kind == StormKind::kExec;
  Part part{.name = fmt::format("{} storm", kStormNames[static_cast<size_t>(kind)]),
            .storm = {.kind = kind,
                      .count = options.processes,
                      .failing_one_in = options.failing,
                      .program = options.program.empty() ? "" : find_program(options.program[0])}};
  part.contenders.push_back(make_null());
  if (best_request() == Request::kFiltered)
    part.contenders.push_back(make_naive("naive client, non-zero", best_request(), {{kNonzero}}));
  part.contenders.push_back(
      make_naive(execs ? "naive client, fork, exec and exit" : "naive client, every exit",
                 best_request(), {{execs ? kForkExecExit : kExit}}));
  for (const Source& source : sources) add_knell(part, options, execs, source.via);
  add_rivals(part, options, execs, run.report);
  return part;
}

}  // namespace

Result<void> run_storms(Run& run) {
  const auto sources = usable_sources(run.report);
  std::vector<Part> parts;
  for (const std::string& kind : run.options.kinds) {
    const auto at = std::ranges::find(kStormNames, kind) - std::begin(kStormNames);
    parts.push_back(make_part(static_cast<StormKind>(at), run, sources));
  }
  run.report.note(
      "medians, in brackets the 95 % interval of the median; the ratio is against the null\n"
      "listener, which sleeps, in the same round; reported: events of all processes of the\n"
      "machine; lost: events of the storm that were not reported, in all rounds");
  return take_rounds(run.options.rounds, run.cores, run.report, parts, [&](const TurnOf& of) {
    const Turn& turn = of.turn;
    of.add(kStormUs, turn.storm_ns() / turn.count() / 1000);
    if (of.is_first()) return;
    of.add(kRatio, turn.storm_ns() / of.first.storm_ns());
    of.add(kCpu, static_cast<double>(turn.cpu_ns) / turn.count());
    of.add(kReported, static_cast<double>(turn.reported));
    of.add(kLost, static_cast<double>(turn.lost));
  });
}

}  // namespace knell::bench
