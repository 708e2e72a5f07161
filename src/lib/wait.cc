// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_wait(): waits for one process with the pidfd source, without a listener.
#include <knell/knell.h>
#include <poll.h>

#include <cerrno>

#include "lib/abi.h"
#include "lib/structure_size.h"
#include "lib/timeout.h"
#include "source/pidfd/pidfd.h"

namespace knell::lib {
namespace {

// Uses details `status`, so the event has no texts.
Result<knell_event> wait_for(pid_t pid, const timespec* timeout) {
  KNELL_ASSIGN(const auto limit, Timeout::create(timeout));
  source::OneExit exit;
  KNELL_ASSIGN(const auto source, source::PidfdSource::create(exit.out()));
  KNELL_TRY(source->add_pid(pid, 0));
  for (;;) {
    exit.out().begin_drain();
    KNELL_TRY(source->drain(1));
    if (exit.event() != nullptr) return *exit.event();
    const int ms = limit.left_ms();
    if (ms == 0) source->report_unreaped(1);
    if (exit.event() != nullptr) return *exit.event();
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
