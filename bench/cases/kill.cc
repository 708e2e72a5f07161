// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `kill`: the time from a SIGKILL until the killer knows that the process has ended, as a
// low-memory killer needs it. The victim is not a child of the killer; its parent reaps it at once.
#include <fcntl.h>
#include <knell/knell.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <set>

#include "base/pidfd.h"
#include "bench/cases/case.h"

namespace knell::bench {
namespace {

constexpr Metric kDeath{"ms to confirmed death", 2};
constexpr Metric kWorst{"most", 2, Metric::Shown::kMaximum};
constexpr Metric kCpu{"CPU ms of the killer", 2};

// How long to wait for a victim that does not end.
constexpr int kPatienceMs = 20'000;
// The pause between the start of a victim and the signal; chosen, not measured.
constexpr uint64_t kPauseNs = 50 * kMillisecondNs;

// A process with memory of its own, and its parent, which ends when it has reaped the process.
struct Victim {
  pid_t pid = 0, parent = 0;
};

[[noreturn]] void be_victim(size_t bytes, int ready) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ::_exit(1);
  // small pages, as in a process whose memory grew slowly
  ::madvise(memory, bytes, MADV_NOHUGEPAGE);
  std::memset(memory, 1, bytes);
  const pid_t self = ::getpid();
  if (::write(ready, &self, sizeof self) != sizeof self) ::_exit(1);
  for (;;) ::pause();
}

Result<Victim> create_victim(const Cores& cores, size_t bytes) {
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return errno_error("create a pipe");
  const UniqueFd reader(ready[0]);
  UniqueFd writer(ready[1]);
  Victim victim;
  victim.parent = ::fork();
  if (victim.parent < 0) return errno_error("create a process");
  if (victim.parent == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(cores.storm);
    const pid_t pid = ::fork();
    if (pid == 0) be_victim(bytes, writer.get());
    writer.reset();
    (void)::waitpid(pid, nullptr, 0);
    ::_exit(0);
  }
  writer.reset();
  if (::read(reader.get(), &victim.pid, sizeof victim.pid) == sizeof victim.pid) return victim;
  (void)::waitpid(victim.parent, nullptr, 0);
  return refuse(ENOMEM, "not enough memory for a victim of {} MiB", bytes >> 20);
}

// Each function kills the process and returns when the process has ended.
Result<void> kill_with_library(pid_t pid) {
  knell_event event{};
  event.size = sizeof event;
  const timespec patience{.tv_sec = kPatienceMs / 1000, .tv_nsec = 0};
  if (const int error = knell_kill(pid, SIGKILL, &patience, &event); error != 0)
    return refuse(ENOTSUP, "{}", knell_explain());
  return {};
}

Result<void> kill_with_pidfd(pid_t pid) {
  KNELL_ASSIGN(const UniqueFd pidfd, pidfd_open(pid));
  if (const int error = send_signal(pidfd.get(), SIGKILL); error != 0)
    return refuse(ENOTSUP, "send a signal: {}", std::strerror(error));
  pollfd ready{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, kPatienceMs) != 1) return refuse(ENOTSUP, "the process does not end");
  return {};
}

Result<void> kill_and_look(pid_t pid, uint64_t period_ns) {
  (void)::kill(pid, SIGKILL);
  const uint64_t end = now_ns() + kPatienceMs * kMillisecondNs;
  while (::kill(pid, 0) == 0) {
    if (now_ns() > end) return refuse(ENOTSUP, "the process does not end");
    sleep_ns(period_ns);
  }
  return {};
}

struct Way {
  const char* name;
  Result<void> (*kill)(pid_t pid);
};
constexpr Way kWays[] = {
    {"knell_kill()", kill_with_library},
    {"pidfd", kill_with_pidfd},
    {"kill(pid, 0) every 10 ms", [](pid_t pid) { return kill_and_look(pid, 10 * kMillisecondNs); }},
    {"kill(pid, 0) every 100 ms",
     [](pid_t pid) { return kill_and_look(pid, 100 * kMillisecondNs); }},
};

// The results of one method in one round.
struct KillTurn {
  double death_ms, cpu_ms;
};

Result<KillTurn> take_turn(const Cores& cores, const Way& way, size_t bytes) {
  KNELL_ASSIGN(const Victim victim, create_victim(cores, bytes));
  sleep_ns(kPauseNs);
  const uint64_t cpu_before = cpu_ns(0), begin = now_ns();
  const auto killed = way.kill(victim.pid);
  const uint64_t end = now_ns(), cpu_after = cpu_ns(0);
  if (!killed) (void)::kill(victim.pid, SIGKILL);
  (void)::waitpid(victim.parent, nullptr, 0);
  KNELL_TRY(killed);
  const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / kMillisecondNs; };
  return KillTurn{.death_ms = ms(end - begin), .cpu_ms = ms(cpu_after - cpu_before)};
}

}  // namespace

Result<void> run_kill(Run& run) {
  std::vector<size_t> sizes;
  for (const std::string& word : run.options.memory) {
    const int mib = std::atoi(word.c_str());
    if (mib < 1 || mib > 65'536 || std::to_string(mib) != word)
      return refuse(EINVAL, "--memory {}: not a number from 1 to 65536", word);
    sizes.push_back(static_cast<size_t>(mib) << 20);
  }
  std::mt19937 random(std::random_device{}());
  std::set<size_t> skipped;
  pin(run.cores.listeners);
  for (size_t step = 0; step < run.options.rounds * sizes.size() && !interrupted(); ++step) {
    const size_t bytes = sizes[step % sizes.size()];
    const std::string table = fmt::format("a process of {} MiB", bytes >> 20);
    std::vector<size_t> order(std::size(kWays));
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::shuffle(order, random);
    std::vector<std::optional<KillTurn>> turns(order.size());
    for (const size_t i : order) {
      if (skipped.contains(i) || interrupted()) continue;
      show_progress(fmt::format("round {} of {}: {}, {}", step / sizes.size() + 1,
                                run.options.rounds, table, kWays[i].name));
      const auto turn = take_turn(run.cores, kWays[i], bytes);
      if (turn) {
        turns[i] = *turn;
        continue;
      }
      if (turn.error().code != ENOTSUP) return std::unexpected(turn.error());
      skipped.insert(i);
      run.report.absent(kWays[i].name, turn.error().message());
    }
    if (interrupted()) break;  // do not report an incomplete round
    for (size_t i = 0; i < turns.size(); ++i) {
      if (!turns[i]) continue;
      run.report.add(table, kWays[i].name, kDeath, turns[i]->death_ms);
      run.report.add(table, kWays[i].name, kWorst, turns[i]->death_ms);
      run.report.add(table, kWays[i].name, kCpu, turns[i]->cpu_ms);
    }
  }
  show_progress("");
  if (interrupted()) run.report.set_partial();
  return {};
}

}  // namespace knell::bench
