// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/time.h"

#include <signal.h>
#include <time.h>

namespace knell::bench {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
volatile sig_atomic_t caught_signal = 0;

void on_interrupt(int signal) {
  // The second one ends us at once: something hangs.
  if (caught_signal != 0) ::signal(signal, SIG_DFL);
  caught_signal = signal;
}

}  // namespace

uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecondNs + static_cast<uint64_t>(now.tv_nsec);
}

void rest_until(uint64_t mono_ns) {
  const timespec until{.tv_sec = static_cast<time_t>(mono_ns / kSecondNs),
                       .tv_nsec = static_cast<long>(mono_ns % kSecondNs)};
  while (!interrupted() &&
         ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

void rest(uint64_t ns) { rest_until(now_ns() + ns); }

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return caught_signal != 0; }
int interrupted_by() { return caught_signal; }

}  // namespace knell::bench
