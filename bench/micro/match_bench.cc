// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One event among many listeners, each with a mask and predicates of its own. There is no index of
// filters: every listener is asked about every event, which is what this measures.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
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

struct Listener {
  uint32_t mask;
  filter::Predicates predicates;
};

// Some look at one service, some at one process, some at one user, some at every failure.
Listener listener(size_t i) {
  Listener made{KNELL_EVENT_NONZERO_EXIT, {}};
  const auto narrow = [&](const char* key, const std::string& values) {
    KNELL_CHECK(made.predicates.add(key, values).has_value());
  };
  switch (i % 5) {
    case 0:
      break;
    case 1:
      narrow("unit", "service-" + std::to_string(i) + "*");
      break;
    case 2:
      made.mask = KNELL_EVENT_EXIT;
      narrow("pid", std::to_string(10'000 + i));
      break;
    case 3:
      made.mask = KNELL_EVENT_EXIT;
      narrow("uid", std::to_string(1000 + i));
      break;
    default:
      made.mask = KNELL_EVENT_FORK | KNELL_EVENT_EXEC;
  }
  return made;
}

void linear(benchmark::State& state) {
  Samples samples(KNELL_DETAILS_FULL);
  std::vector<Listener> listeners;
  listeners.reserve(static_cast<size_t>(state.range(0)));
  for (int64_t i = 0; i < state.range(0); i++)
    listeners.push_back(listener(static_cast<size_t>(i)));
  const Strangers strangers;
  size_t told = 0;
  for (auto _ : state) {
    for (const knell_event& event : samples.events()) {
      for (const Listener& listener : listeners) {
        told += filter::passes(filter::Rule::kReleased, listener.mask, event) &&
                        listener.predicates.matches(event, strangers)
                    ? 1
                    : 0;
      }
    }
    benchmark::DoNotOptimize(told);
  }
  report_each(state, kSamples);
  report_share(state, "told", told, kSamples);
}
BENCHMARK(linear)->Name("match/linear, listeners")->Arg(1)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace knell::bench
