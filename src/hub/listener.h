// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "hub/node.h"
#include "hub/queue.h"
#include "hub/users.h"

namespace knell::hub {

// One who listens, or may come to. Made and owned by the hub.
class Listener {
 public:
  struct Identity {
    uint32_t uid = 0;
    Scope scope;
    uint64_t since_ns = 0;  // nothing stamped before is for it
  };

  const Identity& identity() const { return identity_; }
  const Node* node() const { return node_; }  // nullptr: it has not asked for anything
  const Queue& queue() const { return queue_; }
  const Users::Account& account() const { return *account_; }
  // It can be told of its own losses although it listens to datagrams.
  void set_overruns(bool told) { overruns_ = told; }
  // Anything the owner likes.
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
  Stream stream_ = Stream::kProcesses;  // that it listened to last: what waits for it is of that
  Users::Claim claim_;                  // of its predicates
  bool overruns_ = false;
  bool fresh_ = false;  // among those that have something new
};

}  // namespace knell::hub
