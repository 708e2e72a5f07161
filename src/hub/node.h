// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/pid_map.h"
#include "hub/subscription.h"

namespace knell::hub {

class Listener;

// A filter and all the listeners that have it.
struct Node {
  Filter filter;
  std::vector<Listener*> listeners;
  // With only_added: the added processes, by the listener's pid; the value is the start time in
  // clock ticks since boot, 0: unknown. Such a node has one listener.
  PidMap<uint64_t> added;
};

}  // namespace knell::hub
