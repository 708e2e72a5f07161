// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Millions of processes, and nothing may be lost nor memory grow. The listener keeps no list of
// what it heard, which would grow: it counts, and adds up pids and their squares, which the storm
// does as well.
#include <fmt/format.h>
#include <knell/knell.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "bench/cases/case.h"
#include "bench/frame/cpu.h"
#include "bench/frame/hearing.h"
#include "bench/frame/kernel_memory.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr size_t kFailingOneIn = 10;
constexpr double kWarmUpShare = 0.1;  // of all intervals; at least one
constexpr double kMillion = 1e6;

constexpr Metric kLost{.name = "lost", .title = "lost", .is_sum = true};
constexpr Metric kResident{.name = "resident_mib", .title = "RSS MiB", .decimals = 1};
constexpr Metric kKernel{.name = "kernel_mib", .title = "kernel MiB", .decimals = 1};
constexpr Metric kCpu{.name = "cpu_ns_per_process", .title = "CPU ns/process"};

double mib(uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(kMiB); }

// What was heard, or should have been. Sums wrap round, on both sides alike.
struct Tally {
  uint64_t exits = 0, failing = 0, pids = 0, squares = 0;

  void add(int32_t pid, bool failed) {
    const auto number = static_cast<uint64_t>(pid);
    ++exits;
    failing += failed ? 1 : 0;
    pids += number;
    squares += number * number;
  }
  bool operator==(const Tally&) const = default;
};

// The board's figures hold a Tally; only the listener writes them.
enum Figure { kExits, kFailing, kPids, kSquares };

void add_to(Board& board, const Heard& heard) {
  const auto add = [&](Figure figure, uint64_t value) {
    auto& at = board.figures[figure];
    at.store(at.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
  };
  Tally one;
  one.add(heard.pid, heard.wait_status != 0);
  add(kExits, one.exits);
  add(kFailing, one.failing);
  add(kPids, one.pids);
  add(kSquares, one.squares);
}

Tally tally_of(const Board& board) {
  return {board.figures[kExits], board.figures[kFailing], board.figures[kPids],
          board.figures[kSquares]};
}

// Least squares: what `y` grows by when `x` grows by one.
double slope(const std::vector<double>& x, const std::vector<double>& y) {
  double mean_x = 0;
  double mean_y = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    mean_x += x[i] / static_cast<double>(x.size());
    mean_y += y[i] / static_cast<double>(x.size());
  }
  double both = 0;
  double square = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    both += (x[i] - mean_x) * (y[i] - mean_y);
    square += (x[i] - mean_x) * (x[i] - mean_x);
  }
  return square > 0 ? both / square : 0;
}

class Soak final : public Case {
 public:
  std::string_view name() const override { return "soak"; }
  std::string_view summary() const override {
    return "millions of processes: nothing may be lost, memory may not grow";
  }
  std::string_view notes() const override {
    return "Storms of -p processes each, -r of them, or as many as make --millions, spread evenly\n"
           "over --hours. A line on standard error for each. Status 1 when something was lost, "
           "when\n"
           "RSS was more than --most at the end, or grew by more than --growth since the warm-up,\n"
           "the first tenth.\n\n"
           "Examples:\n"
           "  knell-bench soak --millions 1\n"
           "  knell-bench soak --millions 100 --hours 8 --json soak.json\n";
  }
  size_t default_rounds() const override { return 20; }
  size_t default_processes() const override { return 50'000; }
  void add_options(CLI::App& app) override;
  Outcome<void> run(Run& run) override;

 private:
  struct Interval {
    Tally should;  // since the start
    uint64_t lost = 0;
    uint64_t resident_bytes = 0;
    double millions = 0;  // processes so far
  };
  Outcome<void> choose_source();
  Outcome<void> blow(Run& run, Interval& interval);
  void judge(Report& report) const;
  size_t storms(const Run& run) const;

  double millions_ = 0, hours_ = 0;
  uint64_t most_bytes_ = 64 * kMiB, growth_bytes_ = 4 * kMiB;
  std::string via_, details_ = "full", kind_ = "vfork";
  std::string part_;
  std::unique_ptr<Contender> contender_;
  std::vector<Interval> intervals_;
  uint64_t resident_at_start_ = 0;
};

void Soak::add_options(CLI::App& app) {
  app.add_option("--millions", millions_, "processes, in millions (-r storms of -p)")
      ->check(CLI::Range(0.001, 1e6))
      ->option_text("N");
  app.add_option("--hours", hours_, "spread over that long (as fast as it goes)")
      ->check(CLI::Range(0.0, 10'000.0))
      ->option_text("H");
  app.add_option("--kind", kind_, "vfork, fork or exec (vfork)")
      ->check(CLI::IsMember({"vfork", "fork", "exec"}))
      ->option_text("KIND");
  app.add_option("--via", via_, "bpf or connector (the best that works here)")
      ->check(CLI::IsMember({"bpf", "connector"}))
      ->option_text("SOURCE");
  app.add_option("--details", details_, "status, names or full (full)")
      ->check(CLI::IsMember({"status", "names", "full"}))
      ->option_text("LEVEL");
  app.add_option("--most", most_bytes_, "RSS allowed (64M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(kMiB, 1024 * kMiB))
      ->option_text("SIZE");
  app.add_option("--growth", growth_bytes_, "growth of RSS allowed (4M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{0}, 1024 * kMiB))
      ->option_text("SIZE");
}

size_t Soak::storms(const Run& run) const {
  if (millions_ <= 0) return run.rounds;
  const double storms = millions_ * kMillion / static_cast<double>(run.processes);
  return std::max<size_t>(1, static_cast<size_t>(std::ceil(storms)));
}

Outcome<void> Soak::choose_source() {
  if (via_.empty()) via_ = why_no_source("bpf") ? "connector" : "bpf";
  if (const auto why = why_no_source(via_.c_str())) return fail(kCannotMeasure, "{}", *why);
  const uint32_t details = details_ == "status"  ? KNELL_DETAILS_STATUS
                           : details_ == "names" ? KNELL_DETAILS_NAMES
                                                 : KNELL_DETAILS_FULL;
  const LibraryOptions options{
      .events = KNELL_EVENT_EXIT, .details = details, .via = via_ == "bpf" ? "bpf" : "connector"};
  contender_ = make_hearing(fmt::format("knell {}, every exit, {}", via_, details_), options,
                            [parent = ::getpid()](Board& board, const Heard& heard) {
                              if (is_exit_of_load(board, heard, parent)) add_to(board, heard);
                            });
  part_ = fmt::format("soak, {} storms", kind_);
  return {};
}

// One storm, and what was heard of all so far.
Outcome<void> Soak::blow(Run& run, Interval& interval) {
  const Board& board = static_cast<InProcess&>(*contender_).board();
  Storm storm(*storm_of(kind_), run.processes, kFailingOneIn);
  KNELL_TRY(storm.prepare());
  const uint64_t cpu_before = tree_cpu_ns(contender_->pid());
  KNELL_ASSIGN(const Blow blow, storm.blow());
  for (const Ended& ended : blow.processes) interval.should.add(ended.pid, ended.status != 0);
  const bool told = await_handled(*contender_, blow.marker).has_value();
  if (interrupted() || blow.processes.empty()) return {};
  const uint64_t cpu_after = tree_cpu_ns(contender_->pid());
  if (cpu_after == 0) return fail(kFailed, "the listener ended in the middle of a storm");
  const Tally heard = tally_of(board);
  const uint64_t lost_so_far = interval.should.exits - std::min(heard.exits, interval.should.exits);
  uint64_t before = 0;
  for (const Interval& earlier : intervals_) before += earlier.lost;
  interval.lost = lost_so_far - std::min(before, lost_so_far);
  if (!told) run.report.fail("the end of a storm was not told");
  if (interval.lost == 0 && before == 0 && heard != interval.should)
    run.report.fail(
        "the exits that were told are not those that were: their pids or statuses differ");
  interval.resident_bytes = resident_bytes(contender_->pid());
  interval.millions = static_cast<double>(interval.should.exits) / kMillion;
  const auto add = [&](const Metric& metric, double value) {
    run.report.add(part_, contender_->name(), metric, value);
  };
  add(kLost, static_cast<double>(interval.lost));
  add(kCpu,
      static_cast<double>(cpu_after - cpu_before) / static_cast<double>(blow.processes.size()));
  add(kResident, mib(interval.resident_bytes));
  add(kKernel, mib(kernel_memory(contender_->pid()).bytes()));
  intervals_.push_back(interval);
  return {};
}

void Soak::judge(Report& report) const {
  if (intervals_.empty()) return;
  uint64_t lost = 0;
  std::vector<double> millions, resident;
  const size_t warm =
      std::min(intervals_.size() - 1,
               std::max<size_t>(
                   1, static_cast<size_t>(kWarmUpShare * static_cast<double>(intervals_.size()))) -
                   1);
  for (size_t i = 0; i < intervals_.size(); ++i) {
    lost += intervals_[i].lost;
    if (i < warm) continue;
    millions.push_back(intervals_[i].millions);
    resident.push_back(mib(intervals_[i].resident_bytes));
  }
  const Interval& last = intervals_.back();
  const uint64_t warm_bytes = intervals_[warm].resident_bytes;
  const uint64_t grown = last.resident_bytes - std::min(warm_bytes, last.resident_bytes);
  report.note(
      fmt::format("{:.2f} million processes, {} lost; RSS {:.1f} MiB at the start, {:.1f} after "
                  "the warm-up, {:.1f} "
                  "at the end; slope {:+.3f} MiB per million",
                  last.millions, lost, mib(resident_at_start_), mib(warm_bytes),
                  mib(last.resident_bytes), slope(millions, resident)));
  if (lost != 0) report.fail(fmt::format("{} exits were lost", lost));
  if (last.resident_bytes > most_bytes_)
    report.fail(fmt::format("RSS is above {:.0f} MiB", mib(most_bytes_)));
  if (grown > growth_bytes_)
    report.fail(fmt::format("RSS grew by {:.1f} MiB since the warm-up, more than {:.1f}",
                            mib(grown), mib(growth_bytes_)));
  report.note(report.failed() ? "verdict: FAILED" : "verdict: nothing lost, memory stays");
}

Outcome<void> Soak::run(Run& run) {
  KNELL_TRY(choose_source());
  pin(run.cores.storm);
  KNELL_TRY(contender_->start(run.cores));
  rest(kPauseNs);
  resident_at_start_ = resident_bytes(contender_->pid());
  const size_t count = storms(run);
  const auto period_ns = static_cast<uint64_t>(hours_ * 3600e9 / static_cast<double>(count));
  const uint64_t begin_ns = now_ns();
  run.progress.begin(count);
  Interval interval;
  for (size_t i = 0; i < count && !interrupted(); ++i) {
    run.progress.show(fmt::format("storm {} of {}", i + 1, count));
    rest_until(begin_ns + i * period_ns);
    const size_t before = intervals_.size();
    KNELL_TRY(blow(run, interval));
    run.progress.step();
    if (intervals_.size() == before) break;
    const std::string line =
        fmt::format("{:9.1f} s  {:9.3f} million  {} lost  RSS {:.1f} MiB\n",
                    static_cast<double>(now_ns() - begin_ns) / 1e9, interval.millions,
                    interval.lost, mib(interval.resident_bytes));
    run.progress.clear();
    (void)!::write(STDERR_FILENO, line.data(), line.size());
  }
  contender_->stop();
  if (interrupted()) run.report.set_partial();
  judge(run.report);
  return {};
}

}  // namespace

std::unique_ptr<Case> make_soak() { return std::make_unique<Soak>(); }

}  // namespace knell::bench
