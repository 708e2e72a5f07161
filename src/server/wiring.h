// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "event/raw.h"
#include "hub/listener.h"
#include "server/peer.h"
#include "wire/origin.h"

namespace knell::server {

// What the server asks of those it is wired to.
class Wiring {
 public:
  virtual ~Wiring() = default;
  // A listener asks for something new: when this returns it comes, within `latency_ns`. Errors: the
  // sources cannot give it, in words for who asked. What it costs does not depend on how many
  // others listen: anybody may ask for something new as often as they like.
  virtual Result<void> interest_grown(const hub::Listener& listener, int64_t latency_ns) = 0;
  // After that, until it is true: what was asked for takes a look at many processes, and this does
  // a piece of it. What is under roots that somebody asks for concerns nobody else. Errors: not all
  // of it can be given.
  enum class Settle { kAll, kAllButRoots };
  virtual Result<bool> settle(Settle what) = 0;
  // Somebody asks for less, or has gone: the sources are told in a moment.
  virtual void interest_shrunk() = 0;
  // A listener whose pids are ours added this process, or took it away. Errors: ESRCH.
  virtual Result<void> follow(int32_t pid, uint64_t start) = 0;
  virtual void unfollow(int32_t pid) = 0;
  // Where a client's events are from. Of subscription: via and started_ns.
  virtual wire::Origin origin() const = 0;
  // For one who may see everything, or for a user's own eyes.
  virtual std::string status_json(const Peer& peer) const = 0;
  // An ack as the connector's: stamped, with the next number of its CPU.
  virtual event::Raw make_ack(uint32_t error, uint32_t ack) = 0;
};

}  // namespace knell::server
