// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <deque>
#include <string>

#include "base/json_value.h"

namespace knell::cli {

// An event from one line of JSON, as `knell watch -o json` prints it. It has what a picture needs:
// time, ids, pids, names, arguments, status, duration and cause. A `host` is put before the names,
// "web1:nginx". `mono_ns` is the same time as `time_ns`, since the clocks of several hosts have
// only that in common.
class JsonEvent {
 public:
  // False: the line is no event.
  bool parse(const std::string& line);
  // Valid until the next parse().
  const knell_event& event() const { return event_; }

 private:
  knell_string keep(std::string text);
  knell_string text(const JsonValue& value);
  void set_name(knell_string& name, const JsonValue& value, const std::string& host);
  void set_exit(const JsonValue& line);

  knell_event event_{};
  std::deque<std::string> texts_;  // does not move its elements
};

}  // namespace knell::cli
