// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/event_reader.h"

#include <algorithm>

#include "fleet/streams.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

// libnats waits for one subscription at a time. With several subscriptions, a message may be
// noticed this much later.
constexpr milliseconds kTurn(5);

}  // namespace

Result<std::unique_ptr<EventReader>> EventReader::create(Connection& connection, std::string hosts,
                                                         StreamReader::From from) {
  std::unique_ptr<EventReader> reader(new EventReader(connection, std::move(hosts)));
  KNELL_ASSIGN(const uint32_t count, count_shards(connection));
  // at least 1, to get the error of a missing stream
  KNELL_TRY(reader->add(std::max(count, 1U), from));
  return reader;
}

Result<void> EventReader::add(uint32_t count, StreamReader::From from) {
  for (auto shard = static_cast<uint32_t>(shards_.size()); shard < count; ++shard) {
    KNELL_ASSIGN(auto reader, StreamReader::create(connection_, event_stream(shard),
                                                   subjects_of_hosts(shard, hosts_), from));
    shards_.push_back(std::move(reader));
  }
  return {};
}

Result<void> EventReader::add_new_shards() {
  KNELL_ASSIGN(const uint32_t count, count_shards(connection_));
  return add(count, StreamReader::From::kOldest);
}

std::optional<Message> EventReader::next(milliseconds timeout) {
  if (shards_.size() == 1) return shards_[0]->next(timeout);
  const auto until = SteadyClock::now() + timeout;
  for (;;) {
    for (size_t i = 0; i < shards_.size(); ++i) {
      turn_ = (turn_ + 1) % shards_.size();
      if (auto message = shards_[turn_]->next(milliseconds(0))) return message;
    }
    const auto left = std::chrono::ceil<milliseconds>(until - SteadyClock::now());
    if (left.count() <= 0) return std::nullopt;
    turn_ = (turn_ + 1) % shards_.size();
    if (auto message = shards_[turn_]->next(std::min(left, kTurn))) return message;
  }
}

}  // namespace knell::fleet
