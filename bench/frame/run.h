// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bench/frame/contender.h"
#include "bench/frame/cores.h"
#include "bench/frame/progress.h"
#include "bench/frame/report.h"
#include "bench/frame/storm.h"

namespace knell::bench {

constexpr uint64_t kPauseNs = 50'000'000;  // before each storm, for everybody; picked, never tuned

// What all cases have in common: the words on the command line, and where results go.
struct Run {
  size_t rounds = 0;
  size_t processes = 0;
  Cores cores;
  std::string knell;  // path of the command; empty: none found
  Report report;
  Progress progress;
  std::mt19937 random{std::random_device{}()};

  std::vector<size_t> shuffled(size_t count);  // 0..count-1 in an order of this round's own
};

// What one contender did in one round.
struct Turn {
  uint64_t storm_ns = 0;
  uint64_t cpu_ns = 0;         // of its tree, from before the storm until the last event was told
  uint64_t daemon_cpu_ns = 0;  // of the daemon it listens through, in the same time
  std::optional<uint64_t> handled_ns;  // from the storm's begin until the marker was handled
  uint64_t lost = 0;                   // events that should have come
  uint64_t arrived = 0;                // events told of, of anybody
  uint64_t count = 0;                  // of the storm's processes
};

// The daemon, where there is one, runs on the listeners' cores meanwhile.
// start, prepare, pause, storm, the last event told, CPU read, stop, count. A failure says whose
// turn it was.
Outcome<Turn> take_turn(Run& run, Contender& contender, Storm& storm);

// A part of a case: one storm, and everybody who is measured against it. The first contender is the
// null listener.
struct Part {
  std::string name;  // "exec storm"
  std::unique_ptr<Storm> storm;
  std::vector<std::unique_ptr<Contender>> contenders;
};
struct Turns {
  const Part& part;
  const Contender& contender;
  const Turn& turn;
  const Turn& null;  // of the same round
};

// Rounds of all parts; parts and contenders are shuffled in each. After a round `on_turn` is called
// with its turns, in the order of `parts` and contenders, and not for a part that was interrupted.
// A contender that cannot start is left out from then on and named as absent. Ends early, and marks
// the report as partial, when interrupted().
Outcome<void> take_rounds(Run& run, std::vector<Part>& parts,
                          const std::function<void(const Turns&)>& on_turn);

}  // namespace knell::bench
