// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::source {

// What a request gets for an answer here.
struct ProbeAnswer {
  bool acked = false;          // the kernel knows process events, hears us, and counts a listener
  bool kernel_filter = false;  // and takes a mask: Linux 6.6, or a kernel with the filter added
};

// Asks, on a socket of its own, with requests that no kernel obeys: nothing on the machine is
// changed by it. While nobody listens there is no ack: LISTEN first. Not for keeping: as long as it
// is open every event is put to its filter too.
class Probe {
 public:
  static Result<Probe> open();
  // Errors: ECONNREFUSED in a network namespace of its own.
  Result<ProbeAnswer> ask() const;

 private:
  explicit Probe(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace knell::source
