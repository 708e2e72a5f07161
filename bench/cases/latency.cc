// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// From the kernel's stamp to the handler. The loads are open loops: what is late is made up for and
// counted, so that a slow listener does not choose its own load.
#include <fmt/format.h>
#include <knell/knell.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "bench/cases/case.h"
#include "bench/cases/release.h"
#include "bench/frame/cpu.h"
#include "bench/frame/hearing.h"
#include "bench/frame/load.h"
#include "bench/frame/shared_memory.h"
#include "bench/frame/statistics.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

struct Rate {
  const char *word, *part;
  Pace pace;
};
const Rate kRates[] = {
    {"idle",
     "latency, idle: an exit every 20 ms or so",
     {.per_second = 50, .jitter = 0.5, .for_ns = 2 * kSecondNs}},
    {"1k", "latency, 1000 exits/s", {.per_second = 1000, .jitter = 0.5, .for_ns = kSecondNs}},
    {"50k", "latency, 50000 exits/s", {.per_second = 50'000, .for_ns = kSecondNs}},
};
constexpr std::string_view kRelease = "release";

constexpr Metric kP50{.name = "p50_us", .title = "p50 us", .decimals = 1};
constexpr Metric kP90{.name = "p90_us", .title = "p90 us", .decimals = 1};
constexpr Metric kP99{.name = "p99_us", .title = "p99 us", .decimals = 1};
constexpr Metric kP999{.name = "p999_us", .title = "p99.9 us", .decimals = 1, .is_pooled = true};
constexpr Metric kMost{.name = "max_us", .title = "max us", .decimals = 1, .is_pooled = true};
constexpr Metric kCpu{.name = "cpu_ns_per_event", .title = "CPU ns/event"};
constexpr Metric kReached{.name = "exits_per_second", .title = "exits/s"};
constexpr Metric kLate{.name = "late", .title = "began late", .is_sum = true};
constexpr Metric kLost{.name = "lost", .title = "lost", .is_sum = true};

// What the handler measured, written in the listener's process.
struct Samples {
  static constexpr size_t kCapacity = size_t{1} << 22;  // far more than a second's
  std::atomic<uint64_t> count = 0;
  double us[kCapacity];

  void add(double sample) {
    const uint64_t at = count.load(std::memory_order_relaxed);
    if (at < kCapacity) us[at] = sample;
    count.store(at + 1, std::memory_order_release);
  }
  std::vector<double> all() const { return {us, us + std::min<size_t>(count, kCapacity)}; }
};

struct Candidate {
  std::unique_ptr<SharedMemory<Samples>> samples;
  std::unique_ptr<Contender> contender;
  std::vector<std::vector<double>> pools;  // of each rate: all rounds' samples
  bool out = false;                        // it cannot listen here
};

template <class Options>
Candidate make_candidate(std::string name, const Options& options) {
  Candidate made;
  made.samples = std::make_unique<SharedMemory<Samples>>();
  made.contender = make_hearing(
      std::move(name), options,
      [samples = &**made.samples, parent = ::getpid()](Board& board, const Heard& heard) {
        if (is_exit_of_load(board, heard, parent))
          samples->add(static_cast<double>(now_ns() - heard.stamp_ns) / 1000);
      });
  return made;
}

std::vector<Candidate> make_candidates(Report& report) {
  std::vector<Candidate> all;
  all.push_back(make_candidate("naive client", NaiveOptions{.events = KNELL_EVENT_EXIT}));
  for (const char* via : {"connector", "bpf"}) {
    if (const auto why = why_no_source(via)) {
      report.absent(fmt::format("knell {}", via), *why);
      continue;
    }
    for (const int ms : {0, 1, 10}) {
      all.push_back(make_candidate(fmt::format("knell {}, budget {} ms", via, ms),
                                   LibraryOptions{.events = KNELL_EVENT_EXIT,
                                                  .details = KNELL_DETAILS_STATUS,
                                                  .via = via,
                                                  .latency_ns = ms * 1'000'000}));
    }
  }
  return all;
}

class Latency final : public Case {
 public:
  std::string_view name() const override { return "latency"; }
  std::string_view summary() const override {
    return "kernel stamp to handler, by load and latency budget";
  }
  std::string_view notes() const override {
    return "Loads: `idle` a lone exit every 20 ms or so, `1k` and `50k` exits a second, each by "
           "the\n"
           "clock whatever the listener does; what began late is counted. -p is the most exits of\n"
           "one load. `release`: a victim that holds memory and a file lock is killed, and the\n"
           "time from the lock found free to the handler is taken; less than 0 is too early.\n"
           "p50, p90 and p99 are of each round; p99.9 and max of all rounds' events together.\n\n"
           "Examples:\n"
           "  knell-bench latency -r 25\n"
           "  knell-bench latency --load idle,release --hold 0,1G\n";
  }
  size_t default_rounds() const override { return 6; }
  size_t default_processes() const override { return 50'000; }
  void add_options(CLI::App& app) override;
  Outcome<void> run(Run& run) override;

 private:
  Outcome<void> measure(Run& run, const Rate& rate, Candidate& candidate);
  bool wants(std::string_view load) const {
    return std::ranges::find(loads_, load) != loads_.end();
  }

  std::vector<std::string> loads_{"idle", "1k", "50k", "release"};
  ReleaseOptions release_;
};

void Latency::add_options(CLI::App& app) {
  app.add_option("--load", loads_, "idle, 1k, 50k, release (all)")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::IsMember({"idle", "1k", "50k", "release"}))
      ->option_text("LOAD,...");
  app.add_option("--hold", release_.hold_bytes, "memory of a victim (0,256M)")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->transform(CLI::AsSizeValue(false))
      ->option_text("SIZE,...");
  app.add_option("--victims", release_.victims, "killed in a turn (10)")
      ->check(CLI::Range(1, 10'000))
      ->option_text("N");
}

Outcome<void> Latency::measure(Run& run, const Rate& rate, Candidate& candidate) {
  Contender& contender = *candidate.contender;
  Samples& samples = **candidate.samples;
  samples.count = 0;
  KNELL_TRY(contender.start(run.cores));
  rest(kPauseNs);
  const uint64_t cpu_before = tree_cpu_ns(contender.pid());
  Pace pace = rate.pace;
  pace.at_most = run.processes;
  KNELL_ASSIGN(const Load load, blow_paced(pace, run.random));
  KNELL_ASSIGN(const pid_t marker, end_one(kMarkerStatus));
  (void)await_handled(contender, marker);
  const uint64_t cpu = tree_cpu_ns(contender.pid()) - cpu_before;
  contender.stop();
  if (interrupted() || load.count == 0) return {};
  const std::vector<double> all = samples.all();
  const auto add = [&](const Metric& metric, double value) {
    run.report.add(rate.part, contender.name(), metric, value);
  };
  if (!all.empty()) {
    std::vector<double>& pool = candidate.pools[static_cast<size_t>(&rate - kRates)];
    pool.insert(pool.end(), all.begin(), all.end());
    add(kP50, quantile(all, 0.5));
    add(kP90, quantile(all, 0.9));
    add(kP99, quantile(all, 0.99));
    add(kP999, quantile(pool, 0.999));
    add(kMost, std::ranges::max(pool));
    add(kCpu, static_cast<double>(cpu) / static_cast<double>(all.size()));
  }
  add(kReached, load.per_second());
  add(kLate, static_cast<double>(load.late));
  add(kLost, static_cast<double>(load.count - std::min<uint64_t>(load.count, all.size())));
  return {};
}

Outcome<void> Latency::run(Run& run) {
  if (wants(kRelease)) KNELL_TRY(check_release(release_));
  pin(run.cores.storm);
  std::vector<Candidate> candidates = make_candidates(run.report);
  std::vector<const Rate*> rates;
  for (const Rate& rate : kRates) {
    if (wants(rate.word)) rates.push_back(&rate);
  }
  for (Candidate& candidate : candidates) candidate.pools.resize(std::size(kRates));
  for (const Rate* rate : rates) {
    for (const Candidate& candidate : candidates)
      run.report.expect(rate->part, candidate.contender->name());
  }
  run.progress.begin(run.rounds * rates.size() * candidates.size());
  for (size_t round = 0; round < run.rounds && !interrupted(); ++round) {
    for (const Rate* rate : rates) {
      for (const size_t i : run.shuffled(candidates.size())) {
        if (interrupted()) break;
        Candidate& candidate = candidates[i];
        run.progress.show(fmt::format("{}: {}", rate->part, candidate.contender->name()));
        if (candidate.out) continue;
        if (const auto done = measure(run, *rate, candidate); !done) {
          candidate.contender->stop();
          candidate.out = true;
          run.report.absent(candidate.contender->name(), done.error().line);
        }
        run.progress.step();
      }
    }
  }
  run.progress.clear();
  if (wants(kRelease)) KNELL_TRY(measure_release(run, release_));
  if (interrupted()) run.report.set_partial();
  if (run.report.empty() && !interrupted())
    return fail(kCannotMeasure, "nobody can listen here; try as root");
  return {};
}

}  // namespace

std::unique_ptr<Case> make_latency() { return std::make_unique<Latency>(); }

}  // namespace knell::bench
