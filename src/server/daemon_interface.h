// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "event/raw.h"
#include "hub/filter.h"
#include "hub/listener.h"
#include "server/peer.h"
#include "wire/origin.h"
#include "wire/protocol.h"

namespace knell::server {

class ConnectionFromClient;

// A list of living processes for one client, made in pieces.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  // Does a piece of the work, a few tenths of a millisecond at most. Errors: the list cannot be
  // made.
  enum class Step : uint8_t { kMore, kProcess, kEnd };
  virtual Result<Step> step() = 0;
  // The process that the last step() returned (kProcess), valid until the next step(): limited to
  // what the listener may see, encoded as by WireEventEncoder::event().
  virtual std::string_view process() const = 0;
  virtual size_t bytes() const = 0;  // the memory that the snapshot takes
};

// The functions of the daemon that the server uses. Called from the server's thread.
class DaemonInterface {
 public:
  virtual ~DaemonInterface() = default;
  // A listener's interest has grown. After this returns the sources report the new events, within
  // the latency of its subscription. Errors: the sources cannot; the message is sent to the client.
  // The cost must not depend on the number of other listeners, since any client may change its
  // interest often.
  virtual Result<void> interest_grown(const hub::Listener& listener) = 0;
  // Call after interest_grown() until it returns true: does a piece of the work for the living
  // processes. kAllButRoots: the listener has no `under`, so it need not wait for the scan under
  // the roots of other listeners. Errors: the interest cannot be met in full.
  enum class Scan { kAll, kAllButRoots };
  virtual Result<bool> scan_live_processes(Scan what) = 0;
  // An interest has shrunk, or a listener has disconnected: the sources may soon report less.
  virtual void interest_shrunk() = 0;
  // A listener in the pid namespace of knelld added the process to its subscription, or removed it.
  // Errors: ESRCH.
  virtual Result<void> follow(int32_t pid, uint64_t start) = 0;
  virtual void unfollow(int32_t pid) = 0;
  // The origin of the events, for the HELLO. Of `subscription` only via and started_ns are set.
  virtual wire::Origin origin() const = 0;
  // The status as JSON, limited to what the client may see.
  virtual std::string status_json(const Peer& peer) const = 0;
  // Begins a list of the living processes that match the listener's predicates and that it may see,
  // parents before their children. Errors: /proc cannot be read.
  virtual Result<std::unique_ptr<Snapshot>> begin_snapshot(const hub::Listener& listener) = 0;
  // Call before anything is sent: saves the data for the next daemon, if there is a keeper.
  virtual void save() = 0;
  // Durable listeners. kLater: ConnectionFromClient::finish_durable() is called with the outcome.
  enum class Done : uint8_t { kNow, kLater };
  // Makes the client, which has subscribed, the listener with this name. If it already is, its new
  // subscription replaces the old one. Errors: EBUSY the name is in use; EOPNOTSUPP there is no
  // journal; later those of journal::apply().
  virtual Result<Done> attach_durable(ConnectionFromClient& client,
                                      const wire::Durable& durable) = 0;
  virtual Result<Done> acknowledge_durable(ConnectionFromClient& client,
                                           const wire::Acknowledge& acknowledge) = 0;
  virtual Result<Done> forget_durable(ConnectionFromClient& client, const wire::Forget& forget) = 0;
  // Reads a page of the journal, and then calls ConnectionFromClient::finish_history() with it.
  // `filter`: the filter of the client with the requested mask and predicates. Errors: EOPNOTSUPP
  // the client cannot have past events.
  virtual Result<void> read_history(ConnectionFromClient& client, const wire::History& asked,
                                    hub::Filter filter) = 0;
  // The client disconnects, or its request was refused: releases its name. finish_history() must
  // not be called any more.
  virtual void detach_durable(ConnectionFromClient& client) = 0;
  // Call when the client has read its answers, so there may be room for more events.
  virtual void continue_durable(ConnectionFromClient& client) = 0;
  // Makes an ack as the connector does: stamped, with the next sequence number of its CPU.
  virtual event::Raw make_ack(uint32_t error, uint32_t ack) = 0;
};

}  // namespace knell::server
