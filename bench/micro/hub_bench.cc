// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One event among many listeners of the daemon, found by its index: where one of them wants it, and
// where all do. What it costs should follow those who want it. Beside match/linear.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub.h"
#include "report.h"
#include "samples.h"
#include "server/press.h"

namespace knell::bench {
namespace {

class Strangers : public filter::Ancestry {
 public:
  bool inside(int32_t, const knell_event&) const override { return false; }
};

// A hub with listeners that read at once what they are given.
class Crowd {
 public:
  explicit Crowd(bool one_wants_it, int64_t listeners) {
    for (int64_t i = 0; i < listeners; ++i) {
      hub::Subscription asked;
      asked.mask = KNELL_EVENT_EXIT;
      asked.details = KNELL_DETAILS_NAMES;
      // Each something of its own: a process that does not die here, but for the first.
      if (one_wants_it && i > 0) asked.predicates = {{"pid", std::to_string(3'000'000 + i)}};
      const auto made =
          hub_.connect({.uid = 0, .scope = {.every_user = true}, .since_ns = 0}, nullptr);
      KNELL_CHECK(made && hub_.subscribe(**made, asked));
    }
  }

  void publish(const knell_event& event) {
    hub::Sighting seen;
    seen.type = event.type;
    seen.zero = (event.has & KNELL_HAS_STATUS) != 0 && event.wait_status == 0;
    seen.stamp_ns = event.mono_ns;
    seen.pid = event.pid;
    seen.uid_known = (event.has & KNELL_HAS_UID) != 0;
    seen.uid = event.uid;
    seen.event = &event;
    hub_.publish(seen, strangers_);
  }
  void read_all() {
    hub_.fresh([&](hub::Listener& listener) { hub_.popped(listener, listener.queue().size()); });
  }
  uint64_t told() const { return hub_.counters().delivered; }

 private:
  server::Press press_;
  hub::Hub hub_{press_, {.listeners = 2000}};
  Strangers strangers_;
};

void publish(benchmark::State& state, bool one_wants_it) {
  Samples samples(KNELL_DETAILS_NAMES);
  Crowd crowd(one_wants_it, state.range(0));
  for (auto _ : state) {
    for (const knell_event& event : samples.events()) crowd.publish(event);
    crowd.read_all();
  }
  report_each(state, kSamples);
  report_share(state, "told", crowd.told(), kSamples);
}

void one_wants(benchmark::State& state) { publish(state, true); }
BENCHMARK(one_wants)->Name("hub/one wants it, listeners")->Arg(1)->Arg(100)->Arg(1000);
void all_want(benchmark::State& state) { publish(state, false); }
BENCHMARK(all_want)->Name("hub/all want it, listeners")->Arg(1)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace knell::bench
