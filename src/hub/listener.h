// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "hub/filter.h"
#include "hub/queue.h"
#include "hub/users.h"

namespace knell::hub {

// A connected client, with or without a subscription. Made and owned by the hub.
class Listener {
 public:
  struct Identity {
    uint32_t uid = 0;
    Scope scope;
    uint64_t since_ns = 0;  // CLOCK_MONOTONIC; earlier events are not delivered
  };

  const Identity& identity() const { return identity_; }
  const Node* node() const { return node_; }  // nullptr: no subscription
  const Queue& queue() const { return queue_; }
  const Users::Account& account() const { return *account_; }
  // Whether a listener to datagrams gets a message when it loses some.
  void set_overruns(bool wanted) { overruns_ = wanted; }
  bool overruns() const { return overruns_; }
  // A durable listener gets its events from the journal: the hub knows what it wants, but queues no
  // events for it.
  void set_durable(bool durable) { durable_ = durable; }
  // As given to Hub::connect(); the hub does not use it.
  void* owner() const { return owner_; }

 private:
  friend class Hub;
  Listener(const Identity& identity, size_t bound, void* owner)
      : identity_(identity), queue_(bound), owner_(owner) {}

  Identity identity_;
  Node* node_ = nullptr;
  Queue queue_;
  Users::Account* account_ = nullptr;
  void* owner_;
  // The stream of its last subscription, and so of its queued events
  Stream stream_ = Stream::kProcesses;
  Users::Claim claim_;          // of its subscription
  size_t preparing_bytes_ = 0;  // see Hub::prepare_answer()
  bool overruns_ = false;
  bool durable_ = false;
  bool fresh_ = false;         // in Hub::fresh_
  bool changed_ = false;       // in Hub::changed_
  bool resubscribed_ = false;  // see Hub::changed()
};

}  // namespace knell::hub
