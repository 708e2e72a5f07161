// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fleet/connection.h"
#include "fleet/stream_reader.h"

namespace knell::fleet {

// Reads the events of some hosts from all shards. The events of a host are in order, except when
// the number of shards grows: then a message of the old shard may come after one of the new shard.
// For one thread.
class EventReader {
 public:
  // `hosts`: a glob; events of other hosts may be returned too. Errors: as StreamReader::create().
  static Result<std::unique_ptr<EventReader>> create(Connection& connection, std::string hosts,
                                                     StreamReader::From from);

  // Waits for the next message; nullopt: there was none for `timeout`. A lost connection is not an
  // error.
  std::optional<Message> next(std::chrono::milliseconds timeout);
  // Reads also shards that were created since, from their beginning. Errors: as above; the call can
  // be repeated.
  Result<void> add_new_shards();
  size_t shards() const { return shards_.size(); }

 private:
  EventReader(Connection& connection, std::string hosts)
      : connection_(connection), hosts_(std::move(hosts)) {}
  Result<void> add(uint32_t count, StreamReader::From from);

  Connection& connection_;
  std::string hosts_;
  std::vector<std::unique_ptr<StreamReader>> shards_;
  size_t turn_ = 0;  // the shard to check first
};

}  // namespace knell::fleet
