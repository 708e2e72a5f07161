// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `table`: the figures the kernel series that added the filter gave for it, taken here and now, for
// whoever may listen. Time is from the storm's begin until the last event was handled.
#include <knell/cn_proc.h>
#include <knell/knell.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "bench/cases/case.h"
#include "bench/cases/table_pidfd.h"
#include "bench/frame/daemon.h"
#include "bench/frame/grid.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr Metric kTime{"ms", "ms", 1};
constexpr Metric kCpu{"cpu_ms", "CPU ms", 2};
constexpr Metric kBelow{"times_below_naive_cpu", "CPU, times below naive", 1};
constexpr Metric kLost{"events_lost", "lost", 0, true};

constexpr std::string_view kLegacy = "naive client";
constexpr std::string_view kFiltered = "naive client, filtered";
constexpr size_t kFailingOneIn = 10;
constexpr uint64_t kPatienceNs = 60'000'000'000;

struct Row {
  std::string_view name;
  StormKind kind;
  uint32_t events;
};
constexpr Row kRows[] = {
    {"exits", StormKind::kVfork, KNELL_EVENT_EXIT},
    {"exits + forks", StormKind::kVfork, KNELL_EVENT_EXIT | KNELL_EVENT_FORK},
    {"exits + forks + execs", StormKind::kExec,
     KNELL_EVENT_EXIT | KNELL_EVENT_FORK | KNELL_EVENT_EXEC},
    {"non-zero exits, 1 in 10", StormKind::kVfork, KNELL_EVENT_NONZERO_EXIT},
};

// A knell column.
struct Column {
  std::string name;
  const char* via;
  uint32_t details;
  pid_t daemon = 0;
};

class TableCase final : public Case {
 public:
  std::string_view name() const override { return "table"; }
  std::string_view summary() const override {
    return "the 8K table: exits, forks, execs, non-zero exits, pidfds, each way to hear of them";
  }
  std::string_view notes() const override {
    return "Examples:\n"
           "  knell-bench table                       under a minute on two cores\n"
           "  knell-bench table -r 25 --json table.json\n"
           "  knell-bench table --latency 1           at the library's default budget\n";
  }
  size_t default_rounds() const override { return kRoundsForInterval; }
  size_t default_processes() const override { return 8000; }
  void add_options(CLI::App& app) override;
  Outcome<void> run(Run& run) override;

 private:
  void choose_columns(Run& run);
  std::vector<Part> make_parts(Run& run) const;
  Outcome<void> measure_pidfds(Run& run);
  void add_pidfd_turn(Run& run, Supervisor& supervisor);
  void add_turn(Run& run, const Turns& turns);
  std::string matrix(const Run& run, const std::vector<std::string>& rows) const;

  std::vector<Column> columns_;
  int64_t latency_ms_ = 10;  // as knell watch has it
  bool filtered_ = false;
  double naive_cpu_ms_ = 0;  // of the round and row in hand
};

void TableCase::add_options(CLI::App& app) {
  app.add_option("--latency", latency_ms_,
                 "knell's latency budget in ms, 0 to 1000 (10, as knell watch has it)")
      ->check(CLI::Range(int64_t{0}, int64_t{1000}))
      ->option_text("MS");
}

std::string row_name(std::string_view row, size_t processes) {
  return processes % 1000 == 0 ? fmt::format("{}K {}", processes / 1000, row)
                               : fmt::format("{} {}", processes, row);
}

std::string pidfd_row(size_t processes) { return row_name("exits by pidfd", processes); }

void TableCase::choose_columns(Run& run) {
  filtered_ = kernel_filters();
  if (!filtered_)
    run.report.absent(std::string(kFiltered), "this kernel has no filter (Linux 6.6)");
  for (const char* via : {"connector", "bpf"}) {
    if (const auto why = why_no_source(via)) {
      run.report.absent(fmt::format("knell {}", via), *why);
      continue;
    }
    columns_.push_back({fmt::format("knell {}", via), via, KNELL_DETAILS_STATUS});
    // Over the connector, full details are read from /proc, which is another trade: see `storm`.
    if (std::string_view(via) == "bpf")
      columns_.push_back({fmt::format("knell {}, full", via), via, KNELL_DETAILS_FULL});
  }
  const auto daemon = find_daemon();
  if (!daemon) return run.report.absent("knell, through the daemon", daemon.error());
  columns_.push_back({"knell, through the daemon", "daemon", KNELL_DETAILS_STATUS, *daemon});
}

std::vector<Part> TableCase::make_parts(Run& run) const {
  std::vector<Part> parts;
  for (const Row& row : kRows) {
    Part part{.name = row_name(row.name, run.processes),
              .storm = std::make_unique<Storm>(row.kind, run.processes, kFailingOneIn),
              .contenders = {}};
    part.contenders.push_back(make_null());
    part.contenders.push_back(make_naive(std::string(kLegacy), Request::kLegacy, row.events));
    if (filtered_)
      part.contenders.push_back(make_naive(std::string(kFiltered), Request::kFiltered, row.events));
    for (const Column& column : columns_) {
      part.contenders.push_back(make_library(column.name, {.events = row.events,
                                                           .details = column.details,
                                                           .via = column.via,
                                                           .latency_ns = latency_ms_ * 1'000'000}));
      part.contenders.back()->set_daemon(column.daemon);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

// Called for the contenders of a row in their order, so a naive client comes before those who are
// compared with it: the filtered one where there is one.
void TableCase::add_turn(Run& run, const Turns& turns) {
  const std::string& who = turns.contender.name();
  const Turn& turn = turns.turn;
  const auto add = [&](const Metric& metric, double value) {
    run.report.add(turns.part.name, who, metric, value);
  };
  if (&turn == &turns.null) {
    add(kTime, static_cast<double>(turn.storm_ns) / 1e6);
    return;
  }
  // The daemon's too, which works for this one listener here.
  const double cpu_ms = static_cast<double>(turn.cpu_ns + turn.daemon_cpu_ns) / 1e6;
  if (turn.handled_ns) add(kTime, static_cast<double>(*turn.handled_ns) / 1e6);
  add(kCpu, cpu_ms);
  if (who == kLegacy || who == kFiltered) {
    naive_cpu_ms_ = cpu_ms;
  } else {
    add(kBelow, naive_cpu_ms_ / std::max(cpu_ms, 0.001));
  }
  add(kLost, static_cast<double>(turn.lost));
}

// False: interrupted, or it did not come to its end; then its board says why.
Outcome<bool> take_turn(Run& run, Supervisor& supervisor) {
  KNELL_TRY(supervisor.start(run.cores));
  const uint64_t end = now_ns() + kPatienceNs;
  while (!supervisor.handled(Supervisor::kAllBatches) && supervisor.is_alive() && now_ns() < end &&
         !interrupted()) {
    rest(1'000'000);
  }
  const bool done = supervisor.handled(Supervisor::kAllBatches).has_value();
  supervisor.stop();
  return done && !interrupted();
}

void TableCase::add_pidfd_turn(Run& run, Supervisor& supervisor) {
  const auto add = [&](const Metric& metric, double value) {
    run.report.add(pidfd_row(run.processes), supervisor.name(), metric, value);
  };
  const double cpu_ms = static_cast<double>(supervisor.cpu_ns()) / 1e6;
  add(kTime, static_cast<double>(supervisor.elapsed_ns()) / 1e6);
  add(kCpu, cpu_ms);
  if (supervisor.name() == kLegacy) {
    naive_cpu_ms_ = cpu_ms;
  } else {
    add(kBelow, naive_cpu_ms_ / std::max(cpu_ms, 0.001));
  }
  add(kLost, static_cast<double>(run.processes - supervisor.told()));
}

Outcome<void> TableCase::measure_pidfds(Run& run) {
  std::vector<std::unique_ptr<Supervisor>> all;
  const auto make = [&](std::string_view name, const char* via) {
    all.push_back(std::make_unique<Supervisor>(std::string(name), run.processes, run.cores.storm,
                                               via, latency_ms_ * 1'000'000));
  };
  make(kLegacy, nullptr);
  for (const Column& column : columns_) {
    if (column.details == KNELL_DETAILS_STATUS) make(column.name, column.via);
  }
  const std::string row = pidfd_row(run.processes);
  run.progress.begin(run.rounds * all.size());
  for (size_t round = 0; round < run.rounds; ++round) {
    std::vector<bool> done(all.size());
    for (const size_t who : run.shuffled(all.size())) {
      run.progress.show(
          fmt::format("round {} of {}: {}, {}", round + 1, run.rounds, row, all[who]->name()));
      KNELL_ASSIGN(done[who], take_turn(run, *all[who]));
      if (interrupted()) return {};
      run.progress.step();
    }
    for (size_t who = 0; who < all.size(); ++who) {
      if (done[who]) {
        add_pidfd_turn(run, *all[who]);
      } else {
        run.report.absent(fmt::format("{} ({})", all[who]->name(), row), all[who]->board().why);
      }
    }
  }
  return {};
}

std::string TableCase::matrix(const Run& run, const std::vector<std::string>& rows) const {
  Grid grid;
  std::vector<std::string> names{std::string(kLegacy), std::string(kFiltered)};
  for (const Column& column : columns_) names.push_back(column.name);
  for (const std::string& row : rows) {
    for (const std::string& name : names) {
      const Series* time = run.report.find(row, name, kTime.name);
      const Series* cpu = run.report.find(row, name, kCpu.name);
      const bool there = time != nullptr && cpu != nullptr;
      grid.set(row, name,
               there ? fmt::format("{:.0f} / {:.1f}", time->value(), cpu->value()) : "-");
    }
  }
  return "ms until the last event was handled / ms of CPU; medians\n" + grid.text();
}

Outcome<void> TableCase::run(Run& run) {
  choose_columns(run);
  std::vector<Part> parts = make_parts(run);
  KNELL_TRY(take_rounds(run, parts, [&](const Turns& turns) { add_turn(run, turns); }));
  if (!interrupted()) KNELL_TRY(measure_pidfds(run));
  run.progress.clear();
  if (interrupted()) run.report.set_partial();
  std::vector<std::string> rows;
  rows.reserve(parts.size() + 1);
  for (const Part& part : parts) rows.push_back(part.name);
  rows.push_back(pidfd_row(run.processes));
  run.report.set_heading(matrix(run, rows));
  run.report.note(
      "naive client: epoll, one recv an event; 4-byte LISTEN, which gets every event there is;\n"
      "  filtered: 8-byte LISTEN with a mask. By pidfd: pidfd_open, epoll,\n"
      "  one waitid (WNOWAIT) an end; held children end in batches of 1000, and neither holding "
      "them\n"
      "  nor asking nor reaping is counted");
  run.report.note(fmt::format(
      "knell: a program on libknell, latency budget {} ms (--latency), details status (pids and\n"
      "  status); full: with names, arguments, cgroup and all else. By pidfd: knell_add() of each\n"
      "  pid over that source",
      latency_ms_));
  run.report.note(
      "times below naive: against the filtered client of the same round where there is one");
  run.report.note("null: the storm's own time, with nobody listening");
  run.report.note(
      "the series, on its machine: 8K exits 70 ms, + forks 150 ms, + execs 200 ms, by pidfds 200 "
      "ms");
  return {};
}

}  // namespace

std::unique_ptr<Case> make_table() { return std::make_unique<TableCase>(); }

}  // namespace knell::bench
