// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/repeats.h"

#include <fmt/format.h>

#include <utility>

namespace knell::fleet {

std::string event_key(const JsonValue& event) {
  const std::string type = event["type"].text();
  std::string key = fmt::format("{} {} ", event["host"].text(), type);
  if (type == "exit" && event["id"].is_string()) return key + event["id"].text();
  // knelld sends an unacknowledged lost event again with a new time and number.
  if (type == "lost" && event["cursor"].is_string()) return key + event["cursor"].text();
  if (type == "fork" && event["child_id"].is_string()) return key + event["child_id"].text();
  key +=
      fmt::format("{} {} {}", event["id"].text(), event["tid"].count(), event["mono_ns"].count());
  if (type == "lost") key += fmt::format(" {}", event["seq"].count());
  return key;
}

bool Repeats::is_new(std::string key) {
  if (keys_.contains(key)) return false;
  if (order_.size() == capacity_) {
    keys_.erase(order_.front());
    order_.pop_front();
  }
  keys_.insert(order_.emplace_back(std::move(key)));
  return true;
}

}  // namespace knell::fleet
