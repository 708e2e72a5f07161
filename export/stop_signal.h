// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "base/unique_fd.h"
#include "export/failure.h"

namespace knell::exporter {

// SIGTERM and SIGINT as a descriptor to poll. They are blocked, so create() must be called before
// the first thread is started. SIGPIPE is ignored. Not thread-safe.
class StopSignal {
 public:
  static Outcome<StopSignal> create();

  // Waits until `fd` can be read (-1: only for a signal), a signal has arrived or the time has
  // passed; a negative time is no limit. Returns whether a signal has arrived.
  bool wait(int fd, std::chrono::milliseconds timeout);
  bool arrived() { return wait(-1, std::chrono::milliseconds(0)); }

 private:
  explicit StopSignal(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;  // stays readable, because the signal is never taken
};

}  // namespace knell::exporter
