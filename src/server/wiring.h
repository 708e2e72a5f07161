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
  // What the hub asks for has changed: the sources are asked for it, and when this returns it
  // comes. Errors: they cannot give it, in words for who asked.
  virtual Result<void> interest_changed() = 0;
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
