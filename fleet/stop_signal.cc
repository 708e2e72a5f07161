// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/stop_signal.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace knell::fleet {
namespace {

volatile sig_atomic_t g_stopped = 0;
int g_event = -1;  // open until the process ends

void on_signal(int) {
  g_stopped = 1;
  const uint64_t one = 1;
  (void)!::write(g_event, &one, sizeof one);
}

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  if (g_event < 0) g_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  struct sigaction action{};
  action.sa_handler = on_signal;  // without SA_RESTART: a write that waits is interrupted
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void StopSignal::unblock() {
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

int StopSignal::fd() const { return g_event; }
bool StopSignal::stopped() { return g_stopped != 0; }

}  // namespace knell::fleet
