// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `latency`: from the kernel's timestamp of an exit to the listener, by load and latency budget.
#include <knell/knell.h>

#include <algorithm>

#include "bench/cases/case.h"

namespace knell::bench {
namespace {

struct Load {
  const char *word, *name;
  double per_second, jitter, seconds;
};
constexpr Load kLoads[] = {{"idle", "idle: an exit every 20 ms", 50, 0.5, 2},
                           {"1k", "1000 exits/s", 1000, 0.5, 1},
                           {"50k", "50000 exits/s", 50'000, 0, 1}};

constexpr Metric kP50{"p50 us", 1};
constexpr Metric kP90{"p90 us", 1};
constexpr Metric kP99{"p99 us", 1};
constexpr Metric kMaximum{"max us", 1, Metric::Shown::kMaximum};
constexpr Metric kCpu{"CPU ns/event"};
constexpr Metric kRate{"exits/s"};
constexpr Metric kLate{"started late", 0, Metric::Shown::kSum};
constexpr Metric kLost{"lost", 0, Metric::Shown::kSum};

}  // namespace

Result<void> run_latency(Run& run) {
  const auto sources = usable_sources(run.report);
  std::vector<Part> parts;
  for (const Load& load : kLoads) {
    if (std::ranges::find(run.options.loads, load.word) == run.options.loads.end()) continue;
    const auto count = static_cast<size_t>(load.per_second * load.seconds);
    Part part{.name = load.name,
              .storm = {.count = std::min(run.options.processes, count),
                        .failing_one_in = 0,
                        .per_second = load.per_second,
                        .jitter = load.jitter}};
    const Listeners listeners{.masks = {KNELL_EVENT_EXIT}, .measure_delay = true};
    part.contenders.push_back(make_naive("naive client", best_request(), listeners));
    for (const Source& source : sources) {
      for (const int ms : {0, 1, 10}) {
        part.contenders.push_back(
            make_library(fmt::format("{}, budget {} ms", source.name(), ms),
                         {.source = source,
                          .details = KNELL_DETAILS_STATUS,
                          .latency_ns = ms == 0 ? KNELL_LATENCY_NONE : ms * 1'000'000},
                         listeners));
      }
    }
    parts.push_back(std::move(part));
  }
  return take_rounds(run.options.rounds, run.cores, run.report, parts, [&](const TurnOf& of) {
    const auto& delays = of.turn.delays_us;
    if (!delays.empty()) {
      of.add(kP50, quantile(delays, 0.5));
      of.add(kP90, quantile(delays, 0.9));
      of.add(kP99, quantile(delays, 0.99));
      of.add(kMaximum, std::ranges::max(delays));
    }
    of.add(kCpu, static_cast<double>(of.turn.cpu_ns) / of.turn.count());
    of.add(kRate, of.turn.count() * 1e9 / of.turn.storm_ns());
    of.add(kLate, static_cast<double>(of.turn.storm.late));
    of.add(kLost, static_cast<double>(of.turn.lost));
  });
}

}  // namespace knell::bench
