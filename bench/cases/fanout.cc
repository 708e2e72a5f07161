// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What it costs when many listen at once, each to something else.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "bench/cases/case.h"
#include "bench/cases/crowd.h"
#include "bench/frame/daemon.h"

namespace knell::bench {
namespace {

constexpr size_t kFailingOneIn = 10;

constexpr Metric kStormUs{
    .name = "storm_us_per_process", .title = "storm us/process", .decimals = 2};
constexpr Metric kRatio{.name = "storm_ratio", .title = "storm, ratio to null", .decimals = 3};
constexpr Metric kCpu{.name = "cpu_ns_per_event", .title = "CPU ns/event delivered"};
constexpr Metric kDaemonCpu{.name = "daemon_cpu_ns_per_event", .title = "daemon's CPU ns/event"};
constexpr Metric kDelivered{.name = "delivered", .title = "delivered"};
constexpr Metric kLost{.name = "lost", .title = "lost", .is_sum = true};
constexpr Metric kWrong{
    .name = "wrong_listeners", .title = "listeners miscounting", .is_sum = true};

class Fanout final : public Case {
 public:
  std::string_view name() const override { return "fanout"; }
  std::string_view summary() const override { return "1, 10, 100 listeners with different masks"; }
  std::string_view notes() const override {
    return "A vfork storm, one process in ten fails. Every second listener wants every exit, the\n"
           "others non-zero exits, forks, execs and names by turns. The kernel's connector: each\n"
           "listener a process and a socket. knell: each a knell_open(), all in one process; "
           "through\n"
           "the daemon too, where one runs (KNELL_SOCKET), whose own CPU is shown beside.\n"
           "Every process of the machine that ends is slower meanwhile.\n\n"
           "Examples:\n"
           "  knell-bench fanout --listeners 1,10,100 -r 25\n";
  }
  size_t default_rounds() const override { return 6; }
  size_t default_processes() const override { return 2000; }
  void add_options(CLI::App& app) override;
  Outcome<void> run(Run& run) override;

 private:
  Part make_part(size_t listeners, Run& run, pid_t daemon) const;

  std::vector<size_t> listeners_{1, 10, 100};
};

void Fanout::add_options(CLI::App& app) {
  app.add_option("--listeners", listeners_, "how many; several with commas (1,10,100)")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::Range(size_t{1}, kMostListeners))
      ->option_text("N,...");
}

Part Fanout::make_part(size_t listeners, Run& run, pid_t daemon) const {
  Part part{.name = fmt::format("{} listener{}", listeners, listeners == 1 ? "" : "s"),
            .storm = std::make_unique<Storm>(StormKind::kVfork, run.processes, kFailingOneIn),
            .contenders = {}};
  part.contenders.push_back(make_null());
  part.contenders.push_back(make_naive_crowd(listeners));
  for (const char* via : {"connector", "bpf"}) {
    if (const auto why = why_no_source(via)) {
      run.report.absent(fmt::format("knell {}", via), *why);
    } else {
      part.contenders.push_back(make_library_crowd(listeners, via));
    }
  }
  if (daemon != 0) {
    part.contenders.push_back(make_library_crowd(listeners, "daemon"));
    part.contenders.back()->set_daemon(daemon);
  }
  return part;
}

void report_turn(Report& report, const Turns& turns) {
  const auto add = [&](const Metric& metric, double value) {
    report.add(turns.part.name, turns.contender.name(), metric, value);
  };
  const auto processes = turns.turn.count;
  add(kStormUs, static_cast<double>(turns.turn.storm_ns) / static_cast<double>(processes) / 1000);
  add(kRatio, static_cast<double>(turns.turn.storm_ns) / static_cast<double>(turns.null.storm_ns));
  const auto* crowd = dynamic_cast<const Crowd*>(&turns.contender);
  if (crowd == nullptr) return;
  const CrowdHeard heard = crowd->heard(processes, processes / kFailingOneIn);
  const auto an_event = [&](uint64_t ns) {
    return static_cast<double>(ns) / static_cast<double>(heard.delivered);
  };
  if (heard.delivered != 0) add(kCpu, an_event(turns.turn.cpu_ns));
  if (heard.delivered != 0 && crowd->daemon() != 0)
    add(kDaemonCpu, an_event(turns.turn.daemon_cpu_ns));
  add(kDelivered, static_cast<double>(heard.delivered));
  add(kLost, static_cast<double>(heard.missing));
  add(kWrong, static_cast<double>(heard.wrong));
}

Outcome<void> Fanout::run(Run& run) {
  std::vector<Part> parts;
  parts.reserve(listeners_.size());
  const auto daemon = find_daemon();
  if (!daemon) run.report.absent("knell, through the daemon", daemon.error());
  for (const size_t listeners : listeners_)
    parts.push_back(make_part(listeners, run, daemon.value_or(0)));
  return take_rounds(run, parts, [&](const Turns& turns) { report_turn(run.report, turns); });
}

}  // namespace

std::unique_ptr<Case> make_fanout() { return std::make_unique<Fanout>(); }

}  // namespace knell::bench
