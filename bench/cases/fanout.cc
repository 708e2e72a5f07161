// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `fanout`: many listeners at once, with different masks.
#include <knell/knell.h>

#include <cstdlib>

#include "bench/cases/case.h"

namespace knell::bench {
namespace {

constexpr size_t kBufferBytes = 8 << 20;  // of each listener

constexpr Metric kStormUs{"storm us/process", 2};
constexpr Metric kRatio{"storm, ratio to null", 3};
constexpr Metric kCpu{"CPU ns/event delivered"};
constexpr Metric kDaemonCpu{"CPU ns/event of the daemon"};
constexpr Metric kDelivered{"delivered"};
constexpr Metric kLost{"lost", 0, Metric::Shown::kSum};
constexpr Metric kWrong{"wrong listeners", 0, Metric::Shown::kSum};

// Every second one wants every exit, the others non-zero exits, forks, execs and names in turn.
Listeners make_masks(size_t count) {
  constexpr uint32_t kOthers[] = {KNELL_EVENT_NONZERO_EXIT, KNELL_EVENT_FORK, KNELL_EVENT_EXEC,
                                  KNELL_EVENT_COMM};
  Listeners listeners;
  for (size_t i = 0; i < count; ++i)
    listeners.masks.push_back(i % 2 == 0 ? KNELL_EVENT_EXIT : kOthers[i / 2 % std::size(kOthers)]);
  return listeners;
}

}  // namespace

Result<void> run_fanout(Run& run) {
  const auto sources = usable_sources(run.report, true);
  std::vector<Part> parts;
  for (const std::string& number : run.options.listeners) {
    const int count = std::atoi(number.c_str());
    if (count < 1 || count > 1000 || std::to_string(count) != number)
      return refuse(EINVAL, "--listeners {}: not a number from 1 to 1000", number);
    const Listeners listeners = make_masks(static_cast<size_t>(count));
    Part part{.name = fmt::format("{} listener{}", number, number == "1" ? "" : "s"),
              .storm = {.count = run.options.processes}};
    part.contenders.push_back(make_null());
    part.contenders.push_back(
        make_naive("connector, a naive client each", best_request(), listeners));
    for (const Source& source : sources) {
      const char* each = source.daemon == 0 ? ", a knell_open each" : "";
      part.contenders.push_back(make_library(
          source.name() + each,
          {.source = source, .details = KNELL_DETAILS_STATUS, .buffer_bytes = kBufferBytes},
          listeners));
    }
    parts.push_back(std::move(part));
  }
  return take_rounds(run.options.rounds, run.cores, run.report, parts, [&](const TurnOf& of) {
    const Turn& turn = of.turn;
    of.add(kStormUs, turn.storm_ns() / turn.count() / 1000);
    of.add(kRatio, turn.storm_ns() / of.first.storm_ns());
    if (of.is_first() || turn.reported == 0) return;
    const auto reported = static_cast<double>(turn.reported);
    of.add(kCpu, static_cast<double>(turn.cpu_ns) / reported);
    if (turn.daemon_cpu_ns != 0)
      of.add(kDaemonCpu, static_cast<double>(turn.daemon_cpu_ns) / reported);
    of.add(kDelivered, reported);
    of.add(kLost, static_cast<double>(turn.lost));
    of.add(kWrong, static_cast<double>(turn.wrong_listeners));
  });
}

}  // namespace knell::bench
