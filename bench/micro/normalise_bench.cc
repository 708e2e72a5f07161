// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// From what a source sends to events of processes. Thread-level events (connector) need a memory of
// processes, and with full details /proc, here a tree in a folder for temporary files: its cost is
// that of a file system, not of the kernel's own /proc. Whole processes (bpf) need neither.
#include <benchmark/benchmark.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "event/raw.h"
#include "report.h"
#include "samples.h"
#include "watch/fake_proc.h"
#include "watch/normaliser.h"

namespace knell::bench {
namespace {

class NoPulse : public watch::Pulse {
 public:
  Sign feel(int32_t, uint64_t, UniqueFd&) override { return Sign::kGone; }
  std::optional<int32_t> status(int32_t, const UniqueFd&) override { return std::nullopt; }
  bool watch(int32_t, int) override { return false; }
  bool exists(int32_t) override { return false; }
};

class Everything : public watch::Outlet {
 public:
  uint32_t mask() const override { return KNELL_EVENT_ALL | KNELL_EVENT_LOST; }
  bool wants(watch::Slot&, const filter::Ancestry&) override { return true; }
  void over(int32_t, uint64_t) override {}
};

class Stage {
 public:
  explicit Stage(const watch::NormaliserOptions& options,
                 const std::map<int, watch::FakeProcess>& processes = {})
      : tree_(processes),
        reader_(tree_.reader()),
        normaliser_(options, reader_, clock_, pulse_, outlet_, batch_) {
    clock_.now_ns = 90'000'100'000'000;
    normaliser_.set_heard(KNELL_EVENT_ALL);
  }
  // One drain; returns how many events came of it.
  template <class Feed>
  size_t drain(Feed feed) {
    normaliser_.begin_drain();
    feed(normaliser_);
    (void)normaliser_.judge();
    normaliser_.finish();
    const size_t told = batch_.size();
    benchmark::DoNotOptimize(told);
    batch_.clear();
    return told;
  }
  watch::Normaliser& normaliser() { return normaliser_; }

 private:
  watch::FakeProc tree_;
  watch::ProcReader reader_;
  FakeClock clock_;
  NoPulse pulse_;
  Everything outlet_;
  watch::Batch batch_{kSamples};
  watch::Normaliser normaliser_;
};

// fork, perhaps exec, exit of each of a few processes.
void thread_level(benchmark::State& state, uint32_t details, bool execs) {
  constexpr int kProcesses = 64;
  constexpr uint64_t kBornNs = 90'000'000'000'000;
  std::map<int, watch::FakeProcess> processes;
  for (int i = 0; i < kProcesses; i++) {
    watch::FakeProcess process;
    process.start = kBornNs / watch::Timebase::kTickNs;
    process.cmdline = std::string("test\0one\0two\0", 13);
    processes[10'000 + i] = process;
  }
  watch::NormaliserOptions options;
  options.details = details;
  options.boot = 1;
  Stage stage(options, processes);
  uint64_t stamp = kBornNs;
  size_t told = 0;
  for (auto _ : state) {
    told += stage.drain([&](watch::Normaliser& normaliser) {
      for (int i = 0; i < kProcesses; i++) {
        event::Raw raw;
        raw.pid = raw.tid = 10'000 + i;
        raw.what = KNELL_EVENT_FORK;
        raw.stamp_ns = ++stamp;
        raw.u.fork = {1, 1};
        normaliser.on_raw(raw);
        if (execs) {
          raw.what = KNELL_EVENT_EXEC;
          raw.stamp_ns = ++stamp;
          normaliser.on_raw(raw);
        }
        raw.what = KNELL_EVENT_EXIT;
        raw.stamp_ns = ++stamp;
        raw.u.exit = {1 << 8, 17, 1, 1};
        normaliser.on_raw(raw);
      }
    });
  }
  report_each(state, kProcesses);
  report_share(state, "events", told, kProcesses);
}
BENCHMARK_CAPTURE(thread_level, status, KNELL_DETAILS_STATUS, false)
    ->Name("normalise/connector, fork and exit, status");
BENCHMARK_CAPTURE(thread_level, names, KNELL_DETAILS_NAMES, false)
    ->Name("normalise/connector, fork and exit, names");
BENCHMARK_CAPTURE(thread_level, full, KNELL_DETAILS_FULL, true)
    ->Name("normalise/connector, fork, exec and exit, full");

void whole(benchmark::State& state, uint32_t details) {
  std::vector<event::Full> fulls;
  fulls.reserve(kSamples);
  for (size_t i = 0; i < kSamples; i++) fulls.push_back(exit_of_process(i, details));
  watch::NormaliserOptions options;
  options.details = details;
  options.via = KNELL_VIA_BPF;
  options.whole = true;
  options.boot = 1;
  Stage stage(options);
  for (size_t i = 0; i < kSamples; i++)
    stage.normaliser().on_cgroup({.inode = cgroup_inode(i), .path = cgroup_path(i)});
  size_t told = 0;
  for (auto _ : state) {
    told += stage.drain([&](watch::Normaliser& normaliser) {
      for (const event::Full& full : fulls) normaliser.on_full(full);
    });
  }
  report_each(state, kSamples);
  report_share(state, "events", told, kSamples);
}
BENCHMARK_CAPTURE(whole, status, KNELL_DETAILS_STATUS)->Name("normalise/bpf, exit, status");
BENCHMARK_CAPTURE(whole, names, KNELL_DETAILS_NAMES)->Name("normalise/bpf, exit, names");
BENCHMARK_CAPTURE(whole, full, KNELL_DETAILS_FULL)->Name("normalise/bpf, exit, full");

}  // namespace
}  // namespace knell::bench
