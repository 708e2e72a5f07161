// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "fleet/connection.h"
#include "fleet/presence.h"
#include "fleet/stream_reader.h"

namespace knell::fleet {

struct HostSeen {
  Presence presence;
  int64_t seen_ns = 0;  // when the server stored it, CLOCK_REALTIME of the server

  std::chrono::nanoseconds age() const;  // at least 0
  bool is_silent() const;
};

// Follows the last presence of each host. For one thread.
class HostsReader {
 public:
  // Errors: as StreamReader::create().
  static Result<HostsReader> create(Connection& connection);

  // Reads the next presence, and waits for it at most `timeout`. false: there was none.
  bool next(std::chrono::milliseconds timeout);
  // Whether the presence of all hosts that were stored when this reader was created has been read.
  bool at_end() const { return reader_->at_end(); }
  const std::map<std::string, HostSeen>& hosts() const { return hosts_; }

 private:
  explicit HostsReader(std::unique_ptr<StreamReader> reader) : reader_(std::move(reader)) {}

  std::unique_ptr<StreamReader> reader_;
  std::map<std::string, HostSeen> hosts_;
};

// The last presence of each host, read once. Errors: as StreamReader::create(); ETIMEDOUT.
Result<std::map<std::string, HostSeen>> read_hosts(Connection& connection);

}  // namespace knell::fleet
