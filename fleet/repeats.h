// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/json_value.h"

namespace knell::fleet {

// What names an event of a fleet, over repeats and restarts: the process and the type; for types
// that a process can have several times (exec, comm, ...) the kernel's timestamp too. A process
// exits once, so an exit that was recovered is a repeat of the same exit received live. A lost
// event is named by its cursor; without one, by its number and timestamp in this run of the
// forwarder.
std::string event_key(const JsonValue& event);

// Finds events that came before. A message comes twice when its sender did not learn that the
// first copy arrived, or when it restarted; the server drops most repeats, but only within its
// window. Keeps the newest `capacity` keys, about 150 bytes each. Not thread-safe.
class Repeats {
 public:
  explicit Repeats(size_t capacity) : capacity_(capacity) {}
  // Whether `key` is new; remembers it.
  bool is_new(std::string key);
  size_t size() const { return order_.size(); }

 private:
  size_t capacity_;
  std::deque<std::string> order_;  // oldest first; a deque never moves its elements
  std::unordered_set<std::string_view> keys_;
};

}  // namespace knell::fleet
