// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <deque>
#include <optional>
#include <string>

#include "base/json_value.h"

namespace knell::fleet {

// The event as JSON, with the name of its host as the first member.
std::string json_of_host(const std::string& host, const knell_event& event);

// An event read from JSON as knell_event_json() writes it. Owns its strings; bytes that are not
// UTF-8 stay escaped. last_signal is not read, since no predicate and no column uses it.
class JsonEvent {
 public:
  // nullopt: the event has a type that this version does not know.
  static std::optional<JsonEvent> parse(const JsonValue& value);
  const knell_event& get() const { return event_; }

 private:
  JsonEvent() = default;
  knell_string text(const JsonValue& value);
  void fill_killer(const JsonValue& killer);
  void fill_lost(const JsonValue& value);

  knell_event event_{};
  std::deque<std::string> texts_;  // a deque never moves its elements; moving it keeps them
};

}  // namespace knell::fleet
