// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/stop_signal.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace knell::exporter {

Outcome<StopSignal> StopSignal::create() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(kFailed, "cannot wait for signals: {}", std::strerror(errno));
  return StopSignal(std::move(fd));
}

bool StopSignal::wait(int fd, std::chrono::milliseconds timeout) {
  std::array<pollfd, 2> ready{{{fd_.get(), POLLIN, 0}, {fd, POLLIN, 0}}};
  const int limit = timeout.count() < 0 ? -1 : static_cast<int>(timeout.count());
  const int count = ::poll(ready.data(), ready.size(), limit);
  return count > 0 && ready[0].revents != 0;
}

}  // namespace knell::exporter
