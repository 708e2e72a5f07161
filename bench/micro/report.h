// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>

namespace knell::bench {

// Every iteration handled `items`: the column `each` is the time of one of them, in seconds (`14n`
// is 14 ns).
inline void report_each(benchmark::State& state, size_t items) {
  using benchmark::Counter;
  state.counters["each"] =
      Counter(static_cast<double>(items), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// How many of something came of one item.
inline void report_share(benchmark::State& state, const char* name, size_t count, size_t items) {
  const double all = static_cast<double>(state.iterations()) * static_cast<double>(items);
  state.counters[name] = static_cast<double>(count) / all;
}

}  // namespace knell::bench
