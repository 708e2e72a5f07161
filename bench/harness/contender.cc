// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/harness/contender.h"

#include <knell/cn_proc.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace knell::bench {
namespace {

// The pause before each storm; chosen, not measured.
constexpr uint64_t kPauseNs = 50 * kMillisecondNs;
constexpr uint64_t kPatienceNs = 20 * kSecondNs;
constexpr uint64_t kPromptNs = 300 * kMillisecondNs;
constexpr uint64_t kQuietWindowNs = 100 * kMillisecondNs;
constexpr uint64_t kQuietCpuNs = kMillisecondNs;  // a process that polls with a timeout uses less

using Pids = std::vector<int32_t>;

Pids difference(const Pids& all, const Pids& without) {
  Pids rest;
  std::ranges::set_difference(all, without, std::back_inserter(rest));
  return rest;
}

}  // namespace

Comparison compare(const StormResult& storm, const Recording& recording) {
  Pids every, failing;
  for (const ExitedProcess& process : storm.processes) {
    every.push_back(process.pid);
    if (process.status != 0) failing.push_back(process.pid);
  }
  const Pids execs = storm.execs ? every : Pids();
  every.push_back(storm.marker);
  failing.push_back(storm.marker);

  Comparison result;
  const auto add = [&](uint32_t type, Pids expected) {
    Pids reported;
    for (const LoggedEvent& event : recording.events) {
      if (event.type == type) reported.push_back(event.pid);
    }
    std::ranges::sort(reported);
    std::ranges::sort(expected);
    result.lost += difference(expected, reported).size();
    for (const int32_t pid : difference(reported, expected))
      result.unexpected += std::ranges::binary_search(every, pid) ? 1 : 0;
  };
  std::ranges::sort(every);
  const uint32_t mask = recording.mask;
  add(KNELL_EVENT_FORK, (mask & KNELL_EVENT_FORK) != 0 ? every : Pids());
  add(KNELL_EVENT_EXEC, (mask & KNELL_EVENT_EXEC) != 0 ? execs : Pids());
  add(KNELL_EVENT_EXIT, (mask & KNELL_EVENT_EXIT) != 0           ? every
                        : (mask & KNELL_EVENT_NONZERO_EXIT) != 0 ? failing
                                                                 : Pids());
  return result;
}

Result<void> Contender::fork_body(const Cores& cores, const std::function<void()>& body) {
  kill_now();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) return errno_error("create a process");
  if (pid_ != 0) return {};
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // the parent exited before prctl()
  ::setpgid(0, 0);                        // in a group of its own, so Ctrl-C is not sent to it
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  pin(cores.listeners);
  body();
  ::_exit(1);
}

bool Contender::await_exit(uint64_t patience_ns) {
  for (const uint64_t end = now_ns() + patience_ns; pid_ > 0;) {
    const pid_t reaped = ::waitpid(pid_, nullptr, WNOHANG);
    if (reaped != 0) pid_ = -1;
    if (reaped == 0 && now_ns() > end) return false;
    // Poll also after an interrupt, since the child must be reaped
    if (reaped == 0) ::usleep(1000);
  }
  return true;
}

void Contender::kill_now() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)await_exit(kPatienceNs);
}

bool Contender::await_quiet(uint64_t patience_ns) const {
  uint64_t before = cpu_ns(pid_);
  for (const uint64_t end = now_ns() + patience_ns; now_ns() < end && !interrupted();) {
    sleep_ns(kQuietWindowNs);
    const uint64_t used = cpu_ns(pid_);
    if (used == 0) return false;
    if (used - before < kQuietCpuNs && used > kQuietCpuNs / 4 && !is_runnable(pid_)) return true;
    before = used;
  }
  return false;
}

// Waits until the contender has handled the marker. If the marker was lost, or is printed only
// later, waits until the contender uses no more CPU.
std::optional<uint64_t> Contender::await_handled(pid_t marker) {
  const uint64_t begin = now_ns();
  while (now_ns() - begin < kPatienceNs && !interrupted()) {
    if (const auto when = handled(marker)) return when;
    if (now_ns() - begin > kPromptNs && await_quiet(kMillisecondNs)) return handled(marker);
    sleep_ns(kMillisecondNs);
  }
  return std::nullopt;
}

Result<Turn> Contender::measure(const StormOptions& options) {
  sleep_ns(kPauseNs);
  start_recording();
  const uint64_t daemon_before = daemon_ != 0 ? cpu_ns(daemon_) : 0;
  const uint64_t before = cpu_ns(pid_);
  KNELL_ASSIGN(StormResult storm, run_storm(options));
  const auto when = await_handled(storm.marker);
  // The CPU clock of another process does not count the time since its last context switch.
  for (int i = 0; i < 100 && is_runnable(pid_); ++i) sleep_ns(kMillisecondNs);
  const uint64_t after = cpu_ns(pid_);
  const uint64_t daemon_after = daemon_ != 0 ? cpu_ns(daemon_) : 0;
  if (after == 0 && !interrupted()) return refuse(ENOTSUP, "it ended in the middle of a storm");
  Turn turn{.storm = std::move(storm),
            .cpu_ns = after - std::min(before, after),
            .daemon_cpu_ns = daemon_after - std::min(daemon_before, daemon_after),
            .handled_ns = {}};
  if (when) turn.handled_ns = *when - turn.storm.begin_ns;
  return turn;
}

void Contender::evaluate(Turn& turn) {
  Pids pids;
  for (const ExitedProcess& process : turn.storm.processes) pids.push_back(process.pid);
  std::ranges::sort(pids);
  for (const Recording& recording : recordings()) {
    const Comparison compared = compare(turn.storm, recording);
    turn.reported += recording.events.size();
    turn.lost += compared.lost;
    turn.wrong_listeners += compared.lost + compared.unexpected != 0 ? 1 : 0;
    for (const LoggedEvent& event : recording.events) {
      if (event.delay_ns != 0 && std::ranges::binary_search(pids, event.pid))
        turn.delays_us.push_back(static_cast<double>(event.delay_ns) / 1000);
    }
  }
}

Result<Turn> Contender::take_turn(const Cores& cores, const StormOptions& options) {
  pin(cores.storm);
  cpu_set_t daemon_cores;
  if (daemon_ != 0) {
    (void)::sched_getaffinity(daemon_, sizeof daemon_cores, &daemon_cores);
    pin(cores.listeners, daemon_);
  }
  Result<Turn> turn;
  if (const auto started = start(cores); started) {
    turn = measure(options);
  } else {
    turn = std::unexpected(started.error());
  }
  stop();
  if (turn) evaluate(*turn);
  if (daemon_ != 0) (void)::sched_setaffinity(daemon_, sizeof daemon_cores, &daemon_cores);
  return turn;
}

void show_progress(const std::string& text) {
  static const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  const std::string line = "\r\033[K" + text;  // first erases the previous text in the line
  if (is_terminal) (void)!::write(STDERR_FILENO, line.data(), line.size());
}

Result<void> take_rounds(size_t rounds, const Cores& cores, Report& report,
                         std::vector<Part>& parts,
                         const std::function<void(const TurnOf&)>& on_turn) {
  std::mt19937 random(std::random_device{}());
  std::set<const Contender*> skipped;
  for (size_t step = 0; step < rounds * parts.size() && !interrupted(); ++step) {
    Part& part = parts[step % parts.size()];
    std::vector<size_t> order(part.contenders.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::shuffle(order, random);
    std::vector<std::optional<Turn>> turns(order.size());
    for (const size_t i : order) {
      Contender& contender = *part.contenders[i];
      if (skipped.contains(&contender)) continue;
      show_progress(fmt::format("round {} of {}: {}, {}", step / parts.size() + 1, rounds,
                                part.name, contender.name()));
      auto turn = contender.take_turn(cores, part.storm);
      if (interrupted()) break;
      if (turn) {
        turns[i] = std::move(*turn);
        continue;
      }
      if (turn.error().code != ENOTSUP) return std::unexpected(turn.error());
      skipped.insert(&contender);
      report.absent(fmt::format("{} ({})", contender.name(), part.name), turn.error().message());
    }
    if (interrupted()) break;  // do not report an incomplete round
    for (size_t i = 0; i < turns.size(); ++i) {
      if (turns[i] && turns[0]) on_turn({report, part, *part.contenders[i], *turns[i], *turns[0]});
    }
  }
  show_progress("");
  if (interrupted()) report.set_partial();
  return {};
}

}  // namespace knell::bench
