// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/run.h"

#include <algorithm>
#include <numeric>

#include "bench/frame/cpu.h"
#include "bench/frame/daemon.h"
#include "bench/frame/program.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kPatience = 60'000 * kMillisecond;
constexpr uint64_t kPromptPatience = 300 * kMillisecond;

// Until it told of the marker, or, since that may be lost or told only later, does nothing any
// more.
std::optional<uint64_t> await_told(Contender& contender, pid_t marker) {
  const uint64_t begin = now_ns();
  while (now_ns() - begin < kPatience && !interrupted()) {
    if (const auto at = contender.handled(marker)) return at;
    if (contender.events() == 0) return std::nullopt;  // the null listener tells of nothing
    if (now_ns() - begin > kPromptPatience && await_quiet(contender.pid(), kMillisecond))
      return contender.handled(marker);
    rest(kMillisecond);
  }
  return std::nullopt;
}

class Rounds {
 public:
  Rounds(Run& run, std::vector<Part>& parts) : run_(run), parts_(parts) {}

  size_t steps_a_round() const {
    size_t steps = 0;
    for (const Part& part : parts_) steps += part.contenders.size();
    return steps;
  }

  Outcome<void> take(size_t round, const std::function<void(const Turns&)>& on_turn) {
    std::vector<std::vector<std::optional<Turn>>> turns(parts_.size());
    for (const size_t at : run_.shuffled(parts_.size())) {
      KNELL_TRY(take_part(round, parts_[at], turns[at]));
      if (interrupted()) turns[at].clear();  // half a part is nothing
      if (interrupted()) break;
    }
    for (size_t at = 0; at < parts_.size(); ++at) {
      for (size_t who = 0; who < turns[at].size(); ++who) {
        if (turns[at][who])
          on_turn({parts_[at], *parts_[at].contenders[who], *turns[at][who], *turns[at][0]});
      }
    }
    return {};
  }

 private:
  bool left_out(const Part& part, size_t who) const {
    return std::ranges::find(left_out_, part.contenders[who].get()) != left_out_.end();
  }

  Outcome<void> take_part(size_t round, Part& part, std::vector<std::optional<Turn>>& turns) {
    turns.resize(part.contenders.size());
    for (const size_t who : run_.shuffled(part.contenders.size())) {
      run_.progress.show(fmt::format("round {} of {}: {}, {}", round + 1, run_.rounds, part.name,
                                     part.contenders[who]->name()));
      if (!left_out(part, who)) KNELL_TRY(take_one(part, who, turns[who]));
      run_.progress.step();
      if (interrupted()) break;
    }
    return {};
  }

  Outcome<void> take_one(Part& part, size_t who, std::optional<Turn>& result) {
    Contender& contender = *part.contenders[who];
    auto turn = take_turn(run_, contender, *part.storm);
    contender.stop();
    if (interrupted()) return {};
    if (turn) {
      result = *turn;
      return {};
    }
    // Without the null listener, or without processes, there is nothing to compare.
    if (who == 0 || turn.error().status != kCannotMeasure) return std::unexpected(turn.error());
    left_out_.push_back(&contender);
    run_.report.absent(fmt::format("{} ({})", contender.name(), part.name), turn.error().line);
    return {};
  }

  Run& run_;
  std::vector<Part>& parts_;
  std::vector<const Contender*> left_out_;
};

}  // namespace

std::vector<size_t> Run::shuffled(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::shuffle(order, random);
  return order;
}

Outcome<Turn> take_turn(Run& run, Contender& contender, Storm& storm) {
  pin(run.cores.storm);
  const Pinned daemon(contender.daemon(), run.cores.listeners);
  KNELL_TRY(contender.start(run.cores));
  KNELL_TRY(storm.prepare());
  rest(kPauseNs);
  const auto daemon_cpu = [&] {
    return contender.daemon() != 0 ? tree_cpu_ns(contender.daemon()) : 0;
  };
  const uint64_t daemon_before = daemon_cpu();
  const uint64_t cpu_before = tree_cpu_ns(contender.pid());
  KNELL_ASSIGN(const Blow blow, storm.blow());
  const auto handled = await_told(contender, blow.marker);
  const uint64_t cpu_after = tree_cpu_ns(contender.pid());
  const uint64_t daemon_after = daemon_cpu();
  if (cpu_after == 0 && !interrupted())
    return fail(kCannotMeasure, "it ended in the middle of a storm");
  contender.stop();
  const std::vector<Arrival> arrivals = contender.arrivals();
  Turn turn{.storm_ns = blow.end_ns - blow.begin_ns,
            .cpu_ns = cpu_after - std::min(cpu_before, cpu_after),
            .daemon_cpu_ns = daemon_after - std::min(daemon_before, daemon_after),
            .handled_ns = std::nullopt,
            .lost = count_lost(contender.events(), blow, arrivals),
            .arrived = arrivals.size(),
            .count = std::max<uint64_t>(blow.count, 1)};
  if (handled) turn.handled_ns = *handled - blow.begin_ns;
  return turn;
}

Outcome<void> take_rounds(Run& run, std::vector<Part>& parts,
                          const std::function<void(const Turns&)>& on_turn) {
  Rounds rounds(run, parts);
  run.progress.begin(run.rounds * rounds.steps_a_round());
  for (const Part& part : parts) {
    for (const auto& contender : part.contenders) run.report.expect(part.name, contender->name());
  }
  Outcome<void> outcome;
  for (size_t round = 0; round < run.rounds && !interrupted() && outcome; ++round)
    outcome = rounds.take(round, on_turn);
  run.progress.clear();
  if (interrupted()) run.report.set_partial();
  return outcome;
}

}  // namespace knell::bench
