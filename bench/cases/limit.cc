// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How much a listener can take. Two questions: at what rate does it begin to lose, when it reads as
// fast as it can; and how many ends does it survive that come while it does not read at all.
#include <fmt/format.h>
#include <knell/knell.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "bench/cases/case.h"
#include "bench/frame/cpu.h"
#include "bench/frame/hearing.h"
#include "bench/frame/kernel_memory.h"
#include "bench/frame/load.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kQuietNs = 100 * kMillisecond;  // nothing told for that long: nothing is left
constexpr uint64_t kPatienceNs = 60'000 * kMillisecond;
constexpr int kSteps = 6;  // of the search: to within 2 % of the highest rate
constexpr uint64_t kMiB = uint64_t{1} << 20;

constexpr std::string_view kRatePart = "the highest rate of exits without a loss";

constexpr Metric kRate{.name = "exits_per_second", .title = "exits/s"};
constexpr Metric kLostAtTop{
    .name = "lost_at_full_speed", .title = "lost at full speed", .is_sum = true};
constexpr Metric kResident{.name = "resident_mib", .title = "RSS MiB", .decimals = 1};
constexpr Metric kKernel{.name = "kernel_mib", .title = "kernel MiB", .decimals = 1};
constexpr Metric kKept{.name = "exits_kept", .title = "exits it could be away"};
constexpr Metric kLost{.name = "lost", .title = "lost", .is_sum = true};

double mib(uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(kMiB); }

struct Candidate {
  std::unique_ptr<Contender> contender;
  bool out = false;
  Board& board() const { return static_cast<InProcess&>(*contender).board(); }
};

template <class Options>
Candidate make_candidate(std::string name, const Options& options) {
  const auto handler = [parent = ::getpid()](Board& board, const Heard& heard) {
    if (is_exit_of_load(board, heard, parent))
      board.count.store(board.count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  };
  return {.contender = make_hearing(std::move(name), options, handler)};
}

class Limit final : public Case {
 public:
  std::string_view name() const override { return "limit"; }
  std::string_view summary() const override {
    return "the highest rate before the first loss, and memory at that point";
  }
  std::string_view notes() const override {
    return "Exits come as fast as one core can make them; where that loses some, the highest rate\n"
           "that does not is searched. `>=`: nothing was lost at the highest rate there was.\n"
           "Then the listener is stopped (SIGSTOP) for --stall while exits go on at full speed.\n"
           "Kernel MiB: what is queued in its socket, or its BPF maps. -p is the most exits of "
           "one\n"
           "load.\n\n"
           "Examples:\n"
           "  knell-bench limit --stall 5 -p 1000000\n";
  }
  size_t default_rounds() const override { return 6; }
  size_t default_processes() const override { return 200'000; }
  void add_options(CLI::App& app) override;
  Outcome<void> run(Run& run) override;

 private:
  struct Told {
    Load load;
    uint64_t heard = 0;
    uint64_t lost() const { return load.count - std::min(heard, load.count); }
  };
  void add_candidates(Report& report);
  Outcome<void> take_turn(Run& run, Candidate& candidate);
  Outcome<Told> blow(Run& run, const Candidate& candidate, double per_second);
  Outcome<void> find_rate(Run& run, const Candidate& candidate);
  Outcome<void> stall(Run& run, const Candidate& candidate);
  std::string stall_part() const { return fmt::format("not reading for {} s", stall_s_); }

  std::vector<Candidate> candidates_;
  double seconds_ = 0.5, stall_s_ = 1;
  uint64_t large_bytes_ = 256 * kMiB;
};

void Limit::add_options(CLI::App& app) {
  app.add_option("--for", seconds_, "length of one load in seconds (0.5)")
      ->check(CLI::Range(0.01, 600.0))
      ->option_text("SECONDS");
  app.add_option("--stall", stall_s_, "seconds that the listener does not read (1)")
      ->check(CLI::Range(0.01, 600.0))
      ->option_text("SECONDS");
  app.add_option("--large", large_bytes_, "what a large buffer is (256M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(kMiB, 1023 * kMiB))
      ->option_text("SIZE");
}

void Limit::add_candidates(Report& report) {
  const std::string large = fmt::format("{} MiB asked for", large_bytes_ / kMiB);
  candidates_.push_back(
      make_candidate("naive client, the kernel's default",
                     NaiveOptions{.events = KNELL_EVENT_EXIT, .buffer_bytes = 0}));
  candidates_.push_back(make_candidate(
      "naive client, " + large,
      NaiveOptions{.events = KNELL_EVENT_EXIT, .buffer_bytes = static_cast<int>(large_bytes_)}));
  for (const char* via : {"connector", "bpf"}) {
    if (const auto why = why_no_source(via)) {
      report.absent(fmt::format("knell {}", via), *why);
      continue;
    }
    LibraryOptions options{.events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS, .via = via};
    candidates_.push_back(make_candidate(fmt::format("knell {}, default", via), options));
    options.buffer_bytes = large_bytes_;
    candidates_.push_back(make_candidate(fmt::format("knell {}, {}", via, large), options));
  }
}

// Until the marker was handled, or, since that may be lost too, until no more is told.
void await_all(const Candidate& candidate, pid_t marker) {
  uint64_t seen = candidate.board().count;
  uint64_t changed_ns = now_ns();
  for (const uint64_t end = changed_ns + kPatienceNs; now_ns() < end && !interrupted();
       rest(kMillisecond)) {
    if (candidate.contender->handled(marker)) return;
    const uint64_t count = candidate.board().count;
    if (count != seen) changed_ns = now_ns();
    if (now_ns() - changed_ns > kQuietNs) return;
    seen = count;
  }
}

Outcome<Limit::Told> Limit::blow(Run& run, const Candidate& candidate, double per_second) {
  const uint64_t before = candidate.board().count;
  rest(kPauseNs);
  Told told;
  KNELL_ASSIGN(told.load, blow_paced({.per_second = per_second,
                                      .for_ns = static_cast<uint64_t>(seconds_ * 1e9),
                                      .at_most = run.processes},
                                     run.random));
  KNELL_ASSIGN(const pid_t marker, end_one(kMarkerStatus));
  await_all(candidate, marker);
  told.heard = candidate.board().count - before;
  return told;
}

Outcome<void> Limit::find_rate(Run& run, const Candidate& candidate) {
  const auto add = [&](const Metric& metric, double value) {
    run.report.add(kRatePart, candidate.contender->name(), metric, value);
  };
  KNELL_ASSIGN(const Told top, blow(run, candidate, 0));
  double low = 0;
  double high = top.load.per_second();
  for (int step = 0; step < kSteps && top.lost() != 0 && !interrupted(); ++step) {
    KNELL_ASSIGN(const Told told, blow(run, candidate, (low + high) / 2));
    if (told.lost() == 0) {
      low = told.load.per_second();
    } else {
      high = std::min(high, told.load.per_second());
    }
  }
  if (interrupted()) return {};
  add(kRate, top.lost() == 0 ? top.load.per_second() : low);
  if (top.lost() == 0) run.report.at_least(kRatePart, candidate.contender->name(), kRate);
  add(kLostAtTop, static_cast<double>(top.lost()));
  add(kResident, mib(resident_bytes(candidate.contender->pid())));
  add(kKernel, mib(kernel_memory(candidate.contender->pid()).bytes()));
  return {};
}

Outcome<void> Limit::stall(Run& run, const Candidate& candidate) {
  const pid_t pid = candidate.contender->pid();
  const uint64_t before = candidate.board().count;
  rest(kPauseNs);
  ::kill(pid, SIGSTOP);
  const auto load = blow_paced(
      {.for_ns = static_cast<uint64_t>(stall_s_ * 1e9), .at_most = run.processes}, run.random);
  const KernelMemory kernel = kernel_memory(pid);
  ::kill(pid, SIGCONT);
  if (!load) return std::unexpected(load.error());
  KNELL_ASSIGN(const pid_t marker, end_one(kMarkerStatus));
  await_all(candidate, marker);
  if (interrupted()) return {};
  const uint64_t kept = std::min<uint64_t>(candidate.board().count - before, load->count);
  const auto add = [&](const Metric& metric, double value) {
    run.report.add(stall_part(), candidate.contender->name(), metric, value);
  };
  add(kKept, static_cast<double>(kept));
  if (kept == load->count) run.report.at_least(stall_part(), candidate.contender->name(), kKept);
  add(kLost, static_cast<double>(load->count - kept));
  add(kResident, mib(resident_bytes(pid)));
  add(kKernel, mib(kernel.bytes()));
  return {};
}

Outcome<void> Limit::take_turn(Run& run, Candidate& candidate) {
  KNELL_TRY(candidate.contender->start(run.cores));
  KNELL_TRY(find_rate(run, candidate));
  if (!interrupted()) KNELL_TRY(stall(run, candidate));
  candidate.contender->stop();
  return {};
}

Outcome<void> Limit::run(Run& run) {
  pin(run.cores.storm);
  add_candidates(run.report);
  run.progress.begin(run.rounds * candidates_.size());
  for (const std::string& part : {std::string(kRatePart), stall_part()}) {
    for (const Candidate& candidate : candidates_)
      run.report.expect(part, candidate.contender->name());
  }
  for (size_t round = 0; round < run.rounds && !interrupted(); ++round) {
    for (const size_t i : run.shuffled(candidates_.size())) {
      Candidate& candidate = candidates_[i];
      if (interrupted() || candidate.out) continue;
      run.progress.show(fmt::format("limit: {}", candidate.contender->name()));
      if (const auto done = take_turn(run, candidate); !done) {
        candidate.contender->stop();
        candidate.out = true;
        run.report.absent(candidate.contender->name(), done.error().line);
      }
      run.progress.step();
    }
  }
  run.progress.clear();
  if (interrupted()) run.report.set_partial();
  if (run.report.empty() && !interrupted())
    return fail(kCannotMeasure, "nobody can listen here; try as root");
  return {};
}

}  // namespace

std::unique_ptr<Case> make_limit() { return std::make_unique<Limit>(); }

}  // namespace knell::bench
