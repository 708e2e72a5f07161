// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_kill(): for programs that kill because memory is short. From the signal on it allocates
// nothing, so it works when no memory is left.
#include <knell/knell.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/named_process.h"
#include "base/pidfd.h"
#include "lib/abi.h"
#include "lib/structure_size.h"
#include "lib/timeout.h"

namespace knell::lib {
namespace {

std::unexpected<Error> cannot_signal(pid_t pid, int signal, int error) {
  if (error == ESRCH) return no_pidfd(pid, ESRCH);
  if (error == EINVAL) return say(EINVAL, "there is no signal " + std::to_string(signal));
  return make_error(error, "send a signal to process " + std::to_string(pid));
}

// Waits until the process is dead. Its memory is free then: the kernel gives it back before.
Result<void> wait_for_death(pid_t pid, int pidfd, const Timeout& limit) {
  for (;;) {
    pollfd ready{pidfd, POLLIN, 0};
    const int ms = limit.left_ms();
    const int count = ::poll(&ready, 1, ms);
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return errno_error("wait for a process");
    if (count == 0 && ms == 0)
      return say(ETIMEDOUT, "process " + std::to_string(pid) +
                                " has got the signal, but did not end before the timeout");
  }
}

std::optional<int32_t> status_of(pid_t pid, int pidfd) {
  std::optional<int32_t> status = exit_info(pidfd);
  if (!status) status = child_status(pidfd);
  if (!status) status = zombie_status(pid);
  if (!status) status = exit_info(pidfd);  // reaped in the meantime
  return status;
}

Result<void> kill_and_wait(pid_t pid, int signal, const timespec* timeout, knell_event& exit) {
  KNELL_ASSIGN(const auto limit, Timeout::create(timeout));
  if (pid <= 0) return say(EINVAL, "a process id must be above 0, not " + std::to_string(pid));
  if (pid == ::getpid()) return say(EINVAL, "a process cannot wait for its own end");
  if (signal <= 0) return cannot_signal(pid, signal, EINVAL);
  const auto pidfd = try_pidfd_open(pid);
  if (!pidfd) return no_pidfd(pid, pidfd.error());
  if (const int error = send_signal(pidfd->get(), signal); error != 0)
    return cannot_signal(pid, signal, error);
  if (signal == SIGKILL) release_memory(pidfd->get());
  KNELL_TRY(wait_for_death(pid, pidfd->get(), limit));
  exit.type = KNELL_EVENT_EXIT;
  exit.via = KNELL_VIA_PIDFD;
  exit.seq = 1;
  exit.pid = exit.tid = pid;
  exit.mono_ns = system_clock().monotonic_ns();
  exit.time_ns = system_clock().realtime_ns();
  if (const auto status = status_of(pid, pidfd->get())) {
    exit.has |= KNELL_HAS_STATUS;
    exit.wait_status = *status;
  }
  return {};
}

}  // namespace
}  // namespace knell::lib

int knell_kill(pid_t pid, int signal, const timespec* timeout, knell_event* ret_event) {
  return knell::lib::guarded([&]() -> int {
    if (ret_event == nullptr)
      return knell::lib::store_error({EINVAL, "ret_event must not be NULL", true});
    if (const auto size = knell::lib::size_of(ret_event); !size)
      return knell::lib::store_error(size.error());
    knell_event exit{};
    if (const auto killed = knell::lib::kill_and_wait(pid, signal, timeout, exit); !killed)
      return knell::lib::store_error(killed.error());
    return knell::lib::outcome(knell::lib::fill(ret_event, exit));
  });
}
