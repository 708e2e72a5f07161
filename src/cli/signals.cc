// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace knell::cli {
namespace {

std::array<std::atomic<int>, NSIG> counts;
std::atomic<int> wake_fd{-1};
std::chrono::steady_clock::time_point end_at = std::chrono::steady_clock::time_point::max();

// The handling from before ignore_failing_writes(), which is called before create(), so create()
// could not save it.
constexpr std::array kOfFailingWrites{SIGPIPE, SIGXFSZ};
std::array<struct sigaction, kOfFailingWrites.size()> before_ignoring;
bool ignoring = false;

void on_signal(int signal) {
  const int saved = errno;
  if (signal == SIGALRM) {
    ::alarm(1);  // its only purpose is to interrupt a write
  } else {
    counts[static_cast<size_t>(signal)].fetch_add(1, std::memory_order_relaxed);
    const uint64_t one = 1;
    (void)!::write(wake_fd.load(std::memory_order_relaxed), &one, sizeof one);
    if (signal == SIGINT || signal == SIGTERM) ::alarm(1);
  }
  errno = saved;
}

}  // namespace

Outcome<Signals> Signals::create(std::initializer_list<int> caught,
                                 std::initializer_list<int> ignored) {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return failed("cannot create a signalfd: {}", std::strerror(errno));
  wake_fd.store(fd.get(), std::memory_order_relaxed);
  std::vector<Before> before;
  sigset_t unblocked, mask;
  sigemptyset(&unblocked);
  const auto change = [&](int signal, void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = signal == SIGCHLD ? SA_RESTART | SA_NOCLDSTOP : 0;
    before.push_back({signal, {}});
    ::sigaction(signal, &action, &before.back().action);
  };
  for (const int signal : ignored) change(signal, SIG_IGN);
  for (const int signal : caught) {
    change(signal, on_signal);
    sigaddset(&unblocked, signal);
  }
  change(SIGALRM, on_signal);
  sigaddset(&unblocked, SIGALRM);
  ::sigprocmask(SIG_UNBLOCK, &unblocked, &mask);
  return Signals(std::move(fd), std::move(before), mask);
}

void Signals::clear() {
  uint64_t drained = 0;
  (void)!::read(fd_.get(), &drained, sizeof drained);
}

int Signals::count(int signal) {
  return counts[static_cast<size_t>(signal)].load(std::memory_order_relaxed);
}

void Signals::end_after(std::chrono::nanoseconds time) {
  using std::chrono::microseconds;
  using std::chrono::steady_clock;
  const auto now = steady_clock::now();
  if (time > steady_clock::time_point::max() - now) return;
  end_at = now + time;
  const auto rounded_up = std::chrono::ceil<microseconds>(time);  // 0 would disarm the timer
  itimerval when{};
  when.it_value.tv_sec = static_cast<time_t>(rounded_up.count() / 1'000'000);
  when.it_value.tv_usec = static_cast<suseconds_t>(rounded_up.count() % 1'000'000);
  ::setitimer(ITIMER_REAL, &when, nullptr);
}

bool Signals::ending() { return stopped() || std::chrono::steady_clock::now() >= end_at; }

void Signals::ignore_failing_writes() {
  struct sigaction action{};
  action.sa_handler = SIG_IGN;
  for (size_t i = 0; i < kOfFailingWrites.size(); ++i)
    ::sigaction(kOfFailingWrites[i], &action, &before_ignoring[i]);
  ignoring = true;
}

void Signals::restore_failing_writes() {
  for (size_t i = 0; ignoring && i < kOfFailingWrites.size(); ++i)
    ::sigaction(kOfFailingWrites[i], &before_ignoring[i], nullptr);
}

void Signals::restore() const {
  restore_failing_writes();
  for (const Before& one : before_) ::sigaction(one.signal, &one.action, nullptr);
  ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

sigset_t Signals::changed() const {
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; ignoring && i < kOfFailingWrites.size(); ++i)
    sigaddset(&set, kOfFailingWrites[i]);
  for (const Before& one : before_) sigaddset(&set, one.signal);
  return set;
}

}  // namespace knell::cli
