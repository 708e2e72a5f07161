// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// From an event to a line of text: JSON, and the table for people.
#include <benchmark/benchmark.h>

#include <string>

#include "cli/table.h"
#include "event/json.h"
#include "report.h"
#include "samples.h"

namespace knell::bench {
namespace {

// As in a drain: into one buffer, which is written and emptied at the end.
template <class Append>
void render(benchmark::State& state, Samples& samples, Append append) {
  std::string out;
  size_t bytes = 0;
  for (auto _ : state) {
    out.clear();
    for (const knell_event& event : samples.events()) append(out, event);
    benchmark::DoNotOptimize(out.data());
    bytes += out.size();
  }
  report_each(state, kSamples);
  report_share(state, "bytes", bytes, kSamples);
}

void json(benchmark::State& state, uint32_t details) {
  Samples samples(details);
  render(state, samples, [](std::string& out, const knell_event& event) {
    event::append_json(out, event);
    out += '\n';
  });
}
BENCHMARK_CAPTURE(json, status, KNELL_DETAILS_STATUS)->Name("render/JSON, status");
BENCHMARK_CAPTURE(json, names, KNELL_DETAILS_NAMES)->Name("render/JSON, names");
BENCHMARK_CAPTURE(json, full, KNELL_DETAILS_FULL)->Name("render/JSON, full");

void table(benchmark::State& state, uint32_t details, size_t columns) {
  Samples samples(details);
  cli::Table table(KNELL_EVENT_EXIT, false, {columns != 0, columns != 0, columns, 24});
  render(state, samples,
         [&](std::string& out, const knell_event& event) { table.add(event, out); });
}
BENCHMARK_CAPTURE(table, status, KNELL_DETAILS_STATUS, 0)->Name("render/table, status");
BENCHMARK_CAPTURE(table, full, KNELL_DETAILS_FULL, 0)->Name("render/table, full");
BENCHMARK_CAPTURE(table, terminal, KNELL_DETAILS_FULL, 120)
    ->Name("render/table, full, terminal of 120 columns");

}  // namespace
}  // namespace knell::bench
