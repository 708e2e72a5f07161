// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "fleet/connection.h"
#include "fleet/presence.h"

namespace knell::fleet {

struct HostSeen {
  Presence presence;
  int64_t seen_ns = 0;  // when the server stored it, CLOCK_REALTIME of the server

  std::chrono::nanoseconds age() const;  // at least 0
  bool is_silent() const;
};

// The last presence of each host. Errors: as StreamReader::create(); ETIMEDOUT.
Result<std::map<std::string, HostSeen>> read_hosts(Connection& connection);

}  // namespace knell::fleet
