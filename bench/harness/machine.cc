// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/harness/machine.h"

#include <fmt/ranges.h>
#include <knell/knell.h>
#include <sched.h>
#include <signal.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <fstream>

#include "base/proc_stat.h"
#include "bench_commit.h"

namespace knell::bench {
namespace {

volatile sig_atomic_t caught_signal = 0;

void on_signal(int signal) {
  if (caught_signal != 0) ::signal(signal, SIG_DFL);
  caught_signal = signal;
}

uint64_t to_ns(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * kSecondNs + static_cast<uint64_t>(time.tv_nsec);
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  }
  return "unknown";
}

}  // namespace

uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return to_ns(now);
}

void sleep_until(uint64_t until_ns) {
  const timespec until{.tv_sec = static_cast<time_t>(until_ns / kSecondNs),
                       .tv_nsec = static_cast<long>(until_ns % kSecondNs)};
  while (!interrupted() &&
         ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return caught_signal != 0; }

Result<Cores> choose_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return errno_error("get the CPU affinity");
  Cores cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(static_cast<size_t>(core), &set)) continue;
    (cores.storm.empty() ? cores.storm : cores.listeners).push_back(core);
  }
  if (cores.listeners.empty()) cores.listeners = cores.storm;
  return cores;
}

void pin(const std::vector<int>& cores, pid_t pid) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<size_t>(core), &set);
  (void)::sched_setaffinity(pid, sizeof set, &set);
}

uint64_t cpu_ns(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  uint64_t sum = to_ns(used);
  std::ifstream children(fmt::format("/proc/{}/task/{}/children", pid, pid));
  for (pid_t child = 0; children >> child;) sum += cpu_ns(child);
  return sum;
}

bool is_runnable(pid_t pid) {
  const auto stat = read_proc_stat(pid);
  return stat && stat->state == 'R';
}

uint64_t resident_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  uint64_t size = 0;
  uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string machine_text(const Cores& cores) {
  utsname kernel{};
  (void)::uname(&kernel);
  return fmt::format(
      "knell-bench {} ({}), {} {} {}, {} cores ({}), storm on core {}, listeners on {}",
      knell_version(), KNELL_BENCH_COMMIT, kernel.sysname, kernel.release, kernel.machine,
      ::sysconf(_SC_NPROCESSORS_ONLN), cpu_model(), fmt::join(cores.storm, ","),
      fmt::join(cores.listeners, ","));
}

}  // namespace knell::bench
