// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `table`: the measurements that the kernel patch series gives for its filter, for each way to
// listen: the time from the start of the storm until the last event was handled, and the CPU time.
#include <knell/knell.h>

#include <algorithm>

#include "bench/cases/case.h"

namespace knell::bench {
namespace {

constexpr Metric kTime{"ms", 1};
constexpr Metric kCpu{"CPU ms", 2};
constexpr Metric kBelow{"CPU, times below naive", 1};
constexpr Metric kLost{"lost", 0, Metric::Shown::kSum};

struct Row {
  const char* name;
  StormKind kind;
  uint32_t mask;
};
constexpr Row kRows[] = {
    {"exits", StormKind::kVfork, KNELL_EVENT_EXIT},
    {"exits + forks", StormKind::kVfork, KNELL_EVENT_EXIT | KNELL_EVENT_FORK},
    {"exits + forks + execs", StormKind::kExec,
     KNELL_EVENT_EXIT | KNELL_EVENT_FORK | KNELL_EVENT_EXEC},
    {"non-zero exits, 1 in 10", StormKind::kVfork, KNELL_EVENT_NONZERO_EXIT},
};
std::string row_name(const char* row, size_t processes) {
  return processes % 1000 == 0 ? fmt::format("{}K {}", processes / 1000, row)
                               : fmt::format("{} {}", processes, row);
}

std::vector<Part> make_parts(Run& run) {
  // In knell_options 0 is the default.
  const size_t ms = run.options.latency_ms.value_or(0);
  const int64_t latency_ns =
      run.options.latency_ms == 0 ? KNELL_LATENCY_NONE : static_cast<int64_t>(ms * kMillisecondNs);
  const std::vector<Source> sources = usable_sources(run.report, true);
  std::vector<Part> parts;
  for (const Row& row : kRows) {
    Part part{.name = row_name(row.name, run.options.processes),
              .storm = {.kind = row.kind, .count = run.options.processes}};
    part.contenders.push_back(make_null());
    part.contenders.push_back(make_naive("naive client", Request::kLegacy, {{row.mask}}));
    if (best_request() == Request::kFiltered) {
      part.contenders.push_back(
          make_naive("naive client, filtered", Request::kFiltered, {{row.mask}}));
    }
    for (const Source& source : sources) {
      LibraryOptions options{
          .source = source, .details = KNELL_DETAILS_STATUS, .latency_ns = latency_ns};
      part.contenders.push_back(make_library(source.name(), options, {{row.mask}}));
      // Over the connector full details are read from /proc; the case `storm` measures that.
      options.details = KNELL_DETAILS_FULL;
      if (source.via == "bpf")
        part.contenders.push_back(make_library("knell bpf, full", options, {{row.mask}}));
    }
    parts.push_back(std::move(part));
  }
  Part pidfds{.name = row_name("exits by pidfd", run.options.processes),
              .storm = {.count = run.options.processes}};
  pidfds.contenders.push_back(make_supervisor("naive client", {}));
  for (const Source& source : sources)
    pidfds.contenders.push_back(make_supervisor(
        source.name(),
        {.source = source, .details = KNELL_DETAILS_STATUS, .latency_ns = latency_ns}));
  parts.push_back(std::move(pidfds));
  return parts;
}

std::string summary(const Report& report, const std::vector<Part>& parts) {
  std::vector<std::vector<std::string>> lines{{""}};
  for (const auto& contender : parts.front().contenders) lines[0].push_back(contender->name());
  for (const Part& part : parts) {
    lines.push_back({part.name});
    for (size_t i = 1; i < lines[0].size(); ++i) {
      lines.back().push_back(report.median_text(part.name, lines[0][i], kTime, 0) + " / " +
                             report.median_text(part.name, lines[0][i], kCpu, 1));
    }
  }
  return "ms until the last event was handled / ms of CPU; medians\n" + align(lines) + "\n";
}

}  // namespace

Result<void> run_table(Run& run) {
  std::vector<Part> parts = make_parts(run);
  // CPU time of the naive client in this part and round, or of the filtered one if it runs
  double naive_ms = 0;
  const auto done =
      take_rounds(run.options.rounds, run.cores, run.report, parts, [&](const TurnOf& of) {
        if (of.turn.handled_ns) of.add(kTime, static_cast<double>(*of.turn.handled_ns) / 1e6);
        if (of.contender.name() == "null") return;
        const double ms = static_cast<double>(of.turn.cpu_ns + of.turn.daemon_cpu_ns) / 1e6;
        of.add(kCpu, ms);
        if (of.contender.name().starts_with("naive")) {
          naive_ms = ms;
        } else {
          of.add(kBelow, naive_ms / std::max(ms, 0.001));
        }
        of.add(kLost, static_cast<double>(of.turn.lost));
      });
  run.report.note(fmt::format(
      "naive client: epoll, one recv for each event; legacy request (every event), or filtered by\n"
      "the kernel; by pidfd: pidfd_open, epoll, one waitid (WNOWAIT) for each exit\n"
      "knell: a program that uses libknell, latency {} (--latency), details: pids and status;\n"
      "full: with names, arguments, cgroup and all else; by pidfd: knell_add() of each pid\n"
      "by pidfd: the children wait and exit in batches of 1000; creating, adding and reaping them "
      "is not counted\n"
      "times below naive: against the filtered client of the same round where there is one\n"
      "null: the time of the storm alone\n"
      "the kernel series, on its machine: 8K exits 70 ms, + forks 150 ms, + execs 200 ms, by pidfd "
      "200 ms",
      run.options.latency_ms ? fmt::format("{} ms", *run.options.latency_ms)
                             : "1 ms, up to 10 ms while many events come"));
  run.report.set_heading(summary(run.report, parts));
  return done;
}

}  // namespace knell::bench
