// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_wait(): waits for one process with the pidfd source, without a listener.
#include <knell/knell.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "lib/abi.h"
#include "lib/structure_size.h"
#include "source/pidfd/pidfd.h"

namespace knell::lib {
namespace {

// The time until the deadline for poll(2); -1: no deadline. Rounded up, to avoid a busy loop in the
// last millisecond.
int left_ms(const timespec* timeout, uint64_t deadline_ns) {
  if (timeout == nullptr) return -1;
  const uint64_t now = system_clock().monotonic_ns();
  return now >= deadline_ns ? 0
                            : static_cast<int>(std::min<uint64_t>(
                                  (deadline_ns - now + 999'999) / 1'000'000, INT32_MAX));
}

constexpr time_t kMostSeconds = 1'000'000'000;  // 31 years; a longer timeout is shortened to this

// Uses details `status`, so the event has no texts.
Result<knell_event> wait_for(pid_t pid, const timespec* timeout) {
  uint64_t deadline = 0;
  if (timeout != nullptr) {
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000)
      return say(EINVAL,
                 "a timeout must have seconds from 0 on and nanoseconds from 0 to 999999999");
    deadline = system_clock().monotonic_ns() +
               static_cast<uint64_t>(std::min(timeout->tv_sec, kMostSeconds)) * 1'000'000'000 +
               static_cast<uint64_t>(timeout->tv_nsec);
  }
  source::OneExit exit;
  KNELL_ASSIGN(const auto source, source::PidfdSource::create(exit.out()));
  KNELL_TRY(source->add_pid(pid, 0));
  for (;;) {
    exit.out().begin_drain();
    KNELL_TRY(source->drain(1));
    if (exit.event() != nullptr) return *exit.event();
    const int ms = left_ms(timeout, deadline);
    if (ms == 0)
      return say(ETIMEDOUT, "process " + std::to_string(pid) + " did not end before the timeout");
    pollfd poll_fd{source->fd(), POLLIN, 0};
    if (::poll(&poll_fd, 1, ms) < 0 && errno != EINTR) return errno_error("wait for a process");
  }
}

}  // namespace
}  // namespace knell::lib

int knell_wait(pid_t pid, const timespec* timeout, knell_event* ret_event) {
  return knell::lib::guarded([&]() -> int {
    if (ret_event == nullptr)
      return knell::lib::store_error({EINVAL, "ret_event must not be NULL", true});
    if (const auto size = knell::lib::size_of(ret_event); !size)
      return knell::lib::store_error(size.error());
    auto exit = knell::lib::wait_for(pid, timeout);
    if (!exit) return knell::lib::store_error(exit.error());
    exit->seq = 1;
    return knell::lib::outcome(knell::lib::fill(ret_event, *exit));
  });
}
