// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `storm`: what listeners cost the storm, and what it costs them, and whether they missed anything.
#include <fmt/ranges.h>
#include <knell/cn_proc.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/nearest.h"
#include "bench/cases/case.h"
#include "bench/frame/cpu.h"
#include "bench/frame/program.h"
#include "bench/frame/time.h"
#include "bench/rivals/rivals.h"

namespace knell::bench {
namespace {

constexpr Metric kStormUs{"storm_us_per_process", "storm us/process", 2};
constexpr Metric kRatio{"storm_ratio", "storm, ratio to null", 3};
constexpr Metric kCpu{"cpu_ns_per_process", "CPU ns/process", 0};
constexpr Metric kTold{"events_told", "told", 0};
constexpr Metric kLost{"events_lost", "lost", 0, true};
constexpr Metric kIdleCpu{"idle_cpu_us_per_s", "CPU us/s", 1};

constexpr size_t kFailingOneIn = 10;
constexpr size_t kMostHeld = 20'000;  // processes that are alive at a time
constexpr uint32_t kForkExecExit = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;

struct Way {
  std::string_view name;
  std::vector<std::string> flags;
  uint32_t events;
};

// What knell watch is asked for in a storm of ends, and in one of execs; each over both sources.
std::vector<Way> ways_of(StormKind kind) {
  if (kind == StormKind::kExec) {
    return {{"fork, exec and exit, full", {"-e", "fork,exec,exit"}, kForkExecExit},
            {"non-zero, full", {"-e", "nonzero-exit"}, KNELL_EVENT_NONZERO_EXIT}};
  }
  return {
      {"non-zero, status", {"-e", "nonzero-exit", "--details", "status"}, KNELL_EVENT_NONZERO_EXIT},
      {"non-zero, full", {"-e", "nonzero-exit"}, KNELL_EVENT_NONZERO_EXIT},
      {"every exit, full", {"-e", "exit"}, KNELL_EVENT_EXIT}};
}

class StormCase final : public Case {
 public:
  std::string_view name() const override { return "storm"; }
  std::string_view summary() const override {
    return "storms of processes against knell, a naive client and rivals: slowdown, CPU, losses";
  }
  std::string_view notes() const override {
    return "Rivals that are not installed are named as absent.\n\n"
           "Examples:\n"
           "  knell-bench storm -r 25                      for figures to publish\n"
           "  knell-bench storm --kind exec --rival execsnoop,forkstat\n"
           "  knell-bench storm --kind vfork --rival none --json storm.json\n";
  }
  size_t default_rounds() const override { return 6; }
  size_t default_processes() const override { return 8000; }
  void add_options(CLI::App& app) override;
  Outcome<void> run(Run& run) override;

 private:
  Outcome<void> check_words();
  Part make_part(StormKind kind, Run& run) const;
  void add_knell(Part& part, StormKind kind, Run& run) const;
  Outcome<void> measure_idle(Run& run) const;

  std::vector<std::string> kinds_, rivals_;
  std::string program_;
  size_t burst_ = 2000;
  size_t idle_s_ = 0;
};

void StormCase::add_options(CLI::App& app) {
  app.add_option("--kind", kinds_, "vfork, fork, exec, thread, burst; several with commas (all)")
      ->delimiter(',')
      ->option_text("KIND,...")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option(
         "--rival", rivals_,
         fmt::format("{}; or none (all that are installed)", fmt::join(rival_names(), ", ")))
      ->delimiter(',')
      ->option_text("RIVAL,...")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--burst", burst_, "processes let go at once in a burst, up to 20000 (2000)")
      ->check(CLI::Range(size_t{1}, kMostHeld))
      ->option_text("N");
  app.add_option("--program", program_, "what an exec storm executes (a tiny program of its own)")
      ->option_text("PROGRAM");
  app.add_option("--idle", idle_s_, "then also: seconds with nothing to tell, and their CPU (0)")
      ->check(CLI::Range(size_t{0}, size_t{86'400}))
      ->option_text("SECONDS");
}

Outcome<void> StormCase::check_words() {
  constexpr std::string_view kKinds[] = {"vfork", "fork", "exec", "thread", "burst"};
  if (kinds_.empty()) kinds_.assign(std::begin(kKinds), std::end(kKinds));
  for (const std::string& kind : kinds_) {
    if (storm_of(kind)) continue;
    const std::string_view near = nearest(kind, kKinds);
    if (!near.empty()) return fail(kUsage, "no storm '{}'; did you mean {}?", kind, near);
    return fail(kUsage, "no storm '{}'; there are {}", kind, fmt::join(kKinds, ", "));
  }
  const auto known = rival_names();
  for (const std::string& rival : rivals_) {
    if (rival == "none" || std::ranges::find(known, rival) != known.end()) continue;
    const std::string_view near = nearest(rival, known);
    if (!near.empty()) return fail(kUsage, "no rival '{}'; did you mean {}?", rival, near);
    return fail(kUsage, "no rival '{}'; known are {}", rival, fmt::join(known, ", "));
  }
  if (!program_.empty() && find_program(program_).empty())
    return fail(kUsage, "--program {}: no such program", program_);
  return {};
}

void StormCase::add_knell(Part& part, StormKind kind, Run& run) const {
  for (const char* via : {"connector", "bpf"}) {
    if (const auto why = why_no_source(via)) {
      run.report.absent(fmt::format("knell {}", via), *why);
      continue;
    }
    for (const Way& way : ways_of(kind)) {
      std::vector<std::string> flags{"--via", via};
      flags.insert(flags.end(), way.flags.begin(), way.flags.end());
      part.contenders.push_back(make_knell_watch(fmt::format("knell {}, {}", via, way.name),
                                                 run.knell, std::move(flags), way.events));
    }
  }
}

Part StormCase::make_part(StormKind kind, Run& run) const {
  const bool burst = kind == StormKind::kBurst;
  const bool exec = kind == StormKind::kExec;
  Part part{.name = fmt::format("{} storm", storm_name(kind)),
            .storm = std::make_unique<Storm>(kind, burst ? burst_ : run.processes, kFailingOneIn,
                                             exec ? find_program(program_) : std::string()),
            .contenders = {}};
  part.contenders.push_back(make_null());
  const std::string_view all =
      exec ? "naive client, fork, exec and exit" : "naive client, every exit";
  if (kernel_filters()) {
    part.contenders.push_back(
        make_naive("naive client, non-zero", Request::kFiltered, KNELL_EVENT_NONZERO_EXIT));
    part.contenders.push_back(
        make_naive(std::string(all), Request::kFiltered, exec ? kForkExecExit : KNELL_EVENT_EXIT));
  } else {
    run.report.absent("naive client with a filter", "this kernel has none (Linux 6.6)");
    part.contenders.push_back(make_naive("naive client, every event", Request::kLegacy,
                                         exec ? kForkExecExit : KNELL_EVENT_EXIT));
  }
  if (!run.knell.empty()) add_knell(part, kind, run);
  if (std::ranges::find(rivals_, "none") == rivals_.end()) {
    for (auto& rival : make_rivals(kind, rivals_, run.report))
      part.contenders.push_back(std::move(rival));
  }
  return part;
}

// What those that could be left running cost a machine where nothing ends.
Outcome<void> StormCase::measure_idle(Run& run) const {
  Part part = make_part(StormKind::kVfork, run);
  run.progress.begin(part.contenders.size());
  for (const auto& contender : part.contenders) {
    run.progress.show(fmt::format("idle: {}", contender->name()));
    if (!contender->start(run.cores)) continue;
    rest(1'000'000'000);
    const uint64_t before = tree_cpu_ns(contender->pid());
    rest(idle_s_ * 1'000'000'000);
    const uint64_t used = tree_cpu_ns(contender->pid()) - before;
    contender->stop();
    run.progress.step();
    if (interrupted()) break;
    run.report.add("idle", contender->name(), kIdleCpu,
                   static_cast<double>(used) / 1000 / static_cast<double>(idle_s_));
  }
  run.progress.clear();
  if (interrupted()) run.report.set_partial();
  return {};
}

Outcome<void> StormCase::run(Run& run) {
  KNELL_TRY(check_words());
  if (run.knell.empty())
    run.report.absent("knell", "the command is neither beside knell-bench nor in PATH (--knell)");
  std::vector<Part> parts;
  parts.reserve(kinds_.size());
  for (const std::string& kind : kinds_) parts.push_back(make_part(*storm_of(kind), run));
  KNELL_TRY(take_rounds(run, parts, [&](const Turns& turns) {
    const auto count = static_cast<double>(turns.turn.count);
    const auto add = [&](const Metric& metric, double value) {
      run.report.add(turns.part.name, turns.contender.name(), metric, value);
    };
    const auto storm_ns = static_cast<double>(turns.turn.storm_ns);
    add(kStormUs, storm_ns / count / 1000);
    if (&turns.turn == &turns.null) return;
    add(kRatio, storm_ns / static_cast<double>(turns.null.storm_ns));
    add(kCpu, static_cast<double>(turns.turn.cpu_ns) / count);
    add(kTold, static_cast<double>(turns.turn.arrived));
    add(kLost, static_cast<double>(turns.turn.lost));
  }));
  if (idle_s_ != 0 && !interrupted()) KNELL_TRY(measure_idle(run));
  run.report.note(
      "medians, with the 95 % interval of the median in brackets; one process in 10 ends with 1");
  run.report.note(
      "the ratio is against the null listener, which sleeps, in the same round; told are the "
      "events\n"
      "of all processes of the machine, lost those of the storm that were not told of, in all "
      "rounds");
  return {};
}

}  // namespace

std::unique_ptr<Case> make_storm() { return std::make_unique<StormCase>(); }

}  // namespace knell::bench
