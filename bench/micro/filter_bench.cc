// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Whether a listener wants an event: the rule of masks, and the predicates of each kind.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "filter/predicate.h"
#include "filter/rule.h"
#include "report.h"
#include "samples.h"

namespace knell::bench {
namespace {

class Strangers : public filter::Ancestry {
 public:
  bool inside(int32_t, const knell_event&) const override { return false; }
};

// Counts what passed, so that a reader can tell a benchmark of hits from one of misses.
template <class Wanted>
void judge_all(benchmark::State& state, Wanted wanted) {
  Samples samples(KNELL_DETAILS_FULL);
  size_t passed = 0;
  for (auto _ : state) {
    for (const knell_event& event : samples.events()) passed += wanted(event) ? 1 : 0;
    benchmark::DoNotOptimize(passed);
  }
  report_each(state, kSamples);
  report_share(state, "passed", passed, kSamples);
}

void mask(benchmark::State& state, uint32_t wanted) {
  judge_all(state, [wanted](const knell_event& event) {
    return filter::passes(filter::Rule::kReleased, wanted, event);
  });
}
BENCHMARK_CAPTURE(mask, nonzero, KNELL_EVENT_NONZERO_EXIT)->Name("filter/mask, non-zero exits");
BENCHMARK_CAPTURE(mask, exits, KNELL_EVENT_EXIT)->Name("filter/mask, every exit");

struct Condition {
  const char *key, *values;
};

void predicates(benchmark::State& state, const std::vector<Condition>& conditions) {
  filter::Predicates predicates;
  for (const auto& [key, values] : conditions) {
    if (!predicates.add(key, values)) {
      state.SkipWithError("a predicate that is none");
      return;
    }
  }
  const Strangers strangers;
  judge_all(state, [&](const knell_event& event) { return predicates.matches(event, strangers); });
}

#define KNELL_PREDICATES(name, ...) \
  BENCHMARK_CAPTURE(predicates, name, std::vector<Condition>{__VA_ARGS__})
KNELL_PREDICATES(none, )->Name("filter/no predicate");
KNELL_PREDICATES(pid, {"pid", "10010,10020"})->Name("filter/--pid, two");
KNELL_PREDICATES(uid, {"uid", "33"})->Name("filter/--uid");
KNELL_PREDICATES(comm, {"comm", "postgres"})->Name("filter/--comm, whole");
KNELL_PREDICATES(glob, {"comm", "php-fpm*"})->Name("filter/--comm, glob");
KNELL_PREDICATES(not_comm, {"comm", "!grep,!cc1"})->Name("filter/--comm, two excluded");
KNELL_PREDICATES(exe, {"exe", "/usr/lib/*/cc1"})->Name("filter/--exe, glob");
KNELL_PREDICATES(unit, {"unit", "postgresql@*"})->Name("filter/--unit, glob");
KNELL_PREDICATES(cgroup, {"cgroup", "/system.slice"})->Name("filter/--cgroup");
KNELL_PREDICATES(ended, {"ended", "2-255,SIGKILL,core"})->Name("filter/--ended");
KNELL_PREDICATES(longer, {"longer", "10s"})->Name("filter/--longer");
KNELL_PREDICATES(several, {"unit", "postgresql@*"}, {"ended", "1-255,signal"}, {"uid", "101"})
    ->Name("filter/--unit --ended --uid");

}  // namespace
}  // namespace knell::bench
