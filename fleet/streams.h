// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "fleet/connection.h"

namespace knell::fleet {

struct StreamLimits {
  std::chrono::nanoseconds age = std::chrono::hours(24 * 7);  // of events
  int64_t bytes = int64_t{10} << 30;
  int replicas = 1;
  bool discard_new = false;  // a full stream refuses new events, instead of deleting the oldest
  uint32_t shards = 0;  // number of streams, which share `bytes`; 0: keep the existing number, or 1
};

// How many shards exist. Errors: EACCES; ETIMEDOUT; ENOTSUP: a server without JetStream.
Result<uint32_t> count_shards(Connection& connection);

// Creates the streams and the bucket of a fleet, or changes those that exist. Returns one line
// about each. Errors: EINVAL: the server refuses the limits, or more shards exist already; EACCES;
// ETIMEDOUT.
Result<std::vector<std::string>> create_streams(Connection& connection, const StreamLimits& limits);

}  // namespace knell::fleet
