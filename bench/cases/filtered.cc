// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `filtered`: what an event that nobody wants costs the process that caused it. All processes of
// the storm end with 0, and whoever listens wants non-zero exits only.
#include <knell/cn_proc.h>
#include <knell/knell.h>

#include <CLI/CLI.hpp>

#include "bench/cases/case.h"

namespace knell::bench {
namespace {

constexpr Metric kAbove{"ns_above_null_per_process", "ns/process above null", 0};
constexpr Metric kRatio{"storm_ratio", "storm, ratio to null", 3};
constexpr Metric kCpu{"cpu_ns_per_process", "listener's CPU ns/process", 0};
constexpr Metric kLost{"events_lost", "lost", 0, true};
constexpr std::string_view kPart = "vfork storm, all end with 0; only non-zero exits are wanted";

class FilteredCase final : public Case {
 public:
  std::string_view name() const override { return "filtered"; }
  std::string_view summary() const override {
    return "what an event that nobody wants costs the process that caused it";
  }
  std::string_view notes() const override {
    return "Examples:\n"
           "  knell-bench filtered\n"
           "  knell-bench filtered -r 100 --json filtered.json\n";
  }
  size_t default_rounds() const override { return 25; }
  size_t default_processes() const override { return 8000; }
  void add_options(CLI::App&) override {}
  Outcome<void> run(Run& run) override;
};

void add_knell(std::vector<std::unique_ptr<Contender>>& contenders, Run& run) {
  for (const char* via : {"connector", "bpf"}) {
    if (const auto why = why_no_source(via)) {
      run.report.absent(fmt::format("knell {}", via), *why);
      continue;
    }
    contenders.push_back(make_library(
        fmt::format("knell {}", via),
        {.events = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_STATUS, .via = via}));
  }
}

Outcome<void> FilteredCase::run(Run& run) {
  std::vector<Part> parts(1);
  parts[0].name = kPart;
  parts[0].storm = std::make_unique<Storm>(StormKind::kVfork, run.processes, 0);
  auto& contenders = parts[0].contenders;
  contenders.push_back(make_null());
  contenders.push_back(make_null("another null: the noise"));
  contenders.push_back(make_naive("naive client, 4-byte LISTEN, filters itself", Request::kLegacy,
                                  KNELL_EVENT_NONZERO_EXIT));
  if (kernel_filters()) {
    contenders.push_back(make_naive("naive client, the kernel's filter", Request::kFiltered,
                                    KNELL_EVENT_NONZERO_EXIT));
  } else {
    run.report.absent("naive client, the kernel's filter", "this kernel has none (Linux 6.6)");
  }
  contenders.push_back(make_naive("naive client, classic BPF socket filter", Request::kClassicBpf,
                                  KNELL_EVENT_NONZERO_EXIT));
  add_knell(contenders, run);
  KNELL_TRY(take_rounds(run, parts, [&](const Turns& turns) {
    if (&turns.turn == &turns.null) return;
    const auto count = static_cast<double>(turns.turn.count);
    const auto storm_ns = static_cast<double>(turns.turn.storm_ns);
    const auto null_ns = static_cast<double>(turns.null.storm_ns);
    const auto add = [&](const Metric& metric, double value) {
      run.report.add(kPart, turns.contender.name(), metric, value);
    };
    add(kAbove, storm_ns / count - null_ns / static_cast<double>(turns.null.count));
    add(kRatio, storm_ns / null_ns);
    add(kCpu, static_cast<double>(turns.turn.cpu_ns) / count);
    add(kLost, static_cast<double>(turns.turn.lost));
  }));
  run.report.note("medians, with the 95 % interval of the median in brackets");
  run.report.note(
      "knell: a program on libknell, details status; what passes the filter is one marker a storm");
  return {};
}

}  // namespace

std::unique_ptr<Case> make_filtered() { return std::make_unique<FilteredCase>(); }

}  // namespace knell::bench
