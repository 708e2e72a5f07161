// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `soak`: one listener during many storms. It may lose no event, and its memory may not grow.
#include <knell/knell.h>
#include <unistd.h>

#include <algorithm>

#include "bench/cases/case.h"
#include "bench/harness/listener_process.h"

namespace knell::bench {
namespace {

constexpr Metric kLost{"lost", 0, Metric::Shown::kSum};
constexpr Metric kCpu{"CPU ns/process"};
constexpr Metric kResident{"RSS MiB", 1};

double mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

Result<void> run_soak(Run& run) {
  std::string via = run.options.via.empty() ? "" : run.options.via[0];
  // bpf, if it works here, is the last source
  for (const Source& source : usable_sources(run.report)) {
    if (run.options.via.empty()) via = source.via;
  }
  const auto contender =
      make_library(fmt::format("knell {}, every exit, full", via),
                   {.source = {.via = via}, .details = KNELL_DETAILS_FULL}, {{KNELL_EVENT_EXIT}});
  auto& listener = static_cast<ListenerProcess&>(*contender);
  pin(run.cores.storm);
  KNELL_TRY(listener.start(run.cores));

  const size_t storms = run.options.rounds;
  double first_mib = 0;  // of the first tenth of the storms, after the warm-up
  double last_mib = 0;
  uint64_t processes = 0;
  uint64_t lost = 0;
  for (size_t i = 0; i < storms && !interrupted(); ++i) {
    show_progress(
        fmt::format("storm {} of {}, {} lost, RSS {:.1f} MiB", i + 1, storms, lost, last_mib));
    listener.clear_logs();
    KNELL_ASSIGN(Turn turn, listener.measure({.count = run.options.processes}));
    if (interrupted()) break;
    listener.evaluate(turn);
    // Without the log of the events, which is part of this benchmark
    last_mib = mib(resident_bytes(listener.pid()) - listener.log(0).size() * sizeof(LoggedEvent));
    if (i <= storms / 10) first_mib = last_mib;
    processes += turn.storm.processes.size();
    lost += turn.lost;
    const auto add = [&](const Metric& metric, double value) {
      run.report.add("vfork storms", listener.name(), metric, value);
    };
    add(kLost, static_cast<double>(turn.lost));
    add(kCpu, static_cast<double>(turn.cpu_ns) / turn.count());
    add(kResident, last_mib);
  }
  show_progress("");
  listener.stop();
  if (interrupted()) run.report.set_partial();
  run.report.note(
      fmt::format("{} processes, {} lost; RSS {:.1f} MiB after the warm-up, {:.1f} MiB at the end",
                  processes, lost, first_mib, last_mib));
  if (lost != 0) run.report.fail(fmt::format("FAILED: {} exits were lost", lost));
  if (last_mib > static_cast<double>(run.options.most_mib))
    run.report.fail(fmt::format("FAILED: RSS is above {} MiB", run.options.most_mib));
  if (last_mib > first_mib + static_cast<double>(run.options.growth_mib))
    run.report.fail(fmt::format("FAILED: RSS grew by more than {} MiB", run.options.growth_mib));
  return {};
}

}  // namespace knell::bench
