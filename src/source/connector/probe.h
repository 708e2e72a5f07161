// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::source {

// How the kernel answers requests here.
struct ConnectorProbeAnswer {
  // The kernel has process events and obeys requests from here, and its count of listeners is at
  // least one.
  bool acked = false;
  // Acks of other programs' requests filled the queue, so that of this probe may have been dropped.
  bool unknown = false;
  bool kernel_filter = false;  // it accepts a mask: Linux 6.6, or an older kernel with the filter
  // The kernel certainly sends no events here.
  bool silent() const { return !acked && !unknown; }
};

// Sends requests with an invalid op on a socket of its own, so nothing on the machine is changed.
// The kernel acks only while there is a listener: LISTEN first. Close it soon: as long as it is
// open, the kernel runs its filter for every event too.
class ConnectorProbe {
 public:
  static Result<ConnectorProbe> open();
  // Errors: ECONNREFUSED outside the initial network namespace.
  Result<ConnectorProbeAnswer> ask() const;

 private:
  explicit ConnectorProbe(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace knell::source
