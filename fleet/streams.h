// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fleet/connection.h"

namespace knell::fleet {

// The limits of the streams of events. Existing streams keep the limits that are not set. A new
// shard gets those of the first shard, so that the total of bytes grows; without an existing stream
// the defaults are 7 days, 10 GiB, one copy, and deletion of the oldest events.
struct StreamLimits {
  std::optional<std::chrono::nanoseconds> age = {};  // of events
  std::optional<int64_t> bytes = {};                 // of all shards, which have equal parts
  std::optional<int> replicas = {};  // also of the stream of hosts and of the bucket
  std::optional<bool> discard_new =
      {};               // a full stream refuses new events, else deletes the oldest
  uint32_t shards = 0;  // number of streams; 0: keep the existing number, or 1
};

// How many shards exist. Errors: EACCES; ETIMEDOUT; ENOTSUP: a server without JetStream.
Result<uint32_t> count_shards(Connection& connection);

// Creates the streams and the bucket of a fleet, or changes those that exist. Returns one line
// about each. Errors: EINVAL: the server refuses the limits, more shards exist already, or `bytes`
// for more shards than before would delete events; EACCES; ETIMEDOUT.
Result<std::vector<std::string>> create_streams(Connection& connection, const StreamLimits& limits);

}  // namespace knell::fleet
