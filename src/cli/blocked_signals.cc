// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/blocked_signals.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/signals.h"

namespace knell::cli {
namespace {

constexpr size_t kKernelSigsetBytes = _NSIG / 8;  // sizeof(sigset_t) of the kernel, not glibc's

sigset_t every_signal() {
  sigset_t all;
  sigfillset(&all);
  return all;
}

}  // namespace

Outcome<BlockedSignals> BlockedSignals::create() {
  const sigset_t all = every_signal();
  sigset_t before;
  ::sigprocmask(SIG_SETMASK, &all, &before);
  // If SIGCHLD were ignored, the kernel would reap children and their wait status would be lost.
  struct sigaction action{}, child{};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, &child);
  UniqueFd fd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return failed("cannot create a signalfd: {}", std::strerror(errno));
  return BlockedSignals(std::move(fd), before, child);
}

sigset_t BlockedSignals::pending() const {
  sigset_t set;
  ::sigpending(&set);
  return set;
}

std::optional<siginfo_t> BlockedSignals::take() const { return take(every_signal()); }

// Uses the system call rt_sigtimedwait() directly, since glibc's wrapper changes SI_TKILL to
// SI_USER. Reading the signalfd is not enough: its records cannot be passed on as a siginfo_t.
std::optional<siginfo_t> BlockedSignals::take(const sigset_t& these) const {
  siginfo_t info{};
  const timespec at_once{};
  long signal;
  do {
    signal = ::syscall(SYS_rt_sigtimedwait, &these, &info, &at_once, kKernelSigsetBytes);
  } while (signal < 0 && errno == EINTR);
  if (signal < 0) return std::nullopt;
  return info;
}

void BlockedSignals::take_default(int signal) const {
  struct sigaction before{}, action{};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, &before);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  ::kill(::getpid(), signal);
  ::sigprocmask(SIG_UNBLOCK, &one, nullptr);  // the default action happens here
  ::sigprocmask(SIG_BLOCK, &one, nullptr);
  ::sigaction(signal, &before, nullptr);
}

void BlockedSignals::stop(int signal) const {
  if (signal == SIGSTOP)
    ::kill(::getpid(), SIGSTOP);
  else
    take_default(signal);
}

void BlockedSignals::die(int signal) const {
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_DUMPABLE, 0);  // RLIMIT_CORE does not apply to a pipe in core_pattern
  if (signal == SIGKILL)
    ::kill(::getpid(), SIGKILL);
  else
    take_default(signal);
}

void BlockedSignals::restore() const {
  Signals::restore_failing_writes();
  ::sigaction(SIGCHLD, &child_before_, nullptr);
  ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

}  // namespace knell::cli
