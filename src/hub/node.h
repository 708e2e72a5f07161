// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/pid_map.h"
#include "hub/subscription.h"

namespace knell::hub {

class Listener;

// One filter, and all the listeners that have it.
struct Node {
  Filter filter;
  std::vector<Listener*> listeners;
  // only_added: whom it asked for, by the pid it knows, and since when they live (clock ticks since
  // boot, 0: unknown). Such a node has one listener.
  PidMap<uint64_t> added;
};

}  // namespace knell::hub
