// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace knell::fleet {

// The status message of a forwarder, sent every `interval_ms` and when something changes.
struct Presence {
  std::string host;
  std::string instance;  // random, for this run of the forwarder: distinguishes two forwarders with
                         // one name
  std::string machine_id, boot_id;
  std::string version;
  std::string state;             // "ok", or a description of the problem
  std::string asked;             // names of the events that are requested and sent; "": nothing
  std::string predicates;        // "unit=cron ended=oom"; "": none
  std::string refused;           // ignored selectors: OWNER: REASON, one a line; "": none
  std::string stream;            // the id of its EventStream
  uint64_t sent = 0, acked = 0;  // seq
  uint64_t events = 0;           // sent by this run
  uint64_t lost = 0;             // sum of the counts of its lost events
  uint64_t waiting = 0;          // batches that wait to be sent
  uint64_t unsent = 0;           // events that wait to be sent; more may wait in the journal
  uint64_t lag_ms = 0;           // age of the oldest of them; 0: there are none
  uint64_t unacked = 0;          // events that were read and not acknowledged to the journal
  int64_t time_ms = 0;           // CLOCK_REALTIME of the host
  int64_t interval_ms = 30'000;

  bool operator==(const Presence&) const = default;
};

std::string presence_json(const Presence& presence);
// Errors: EINVAL.
Result<Presence> parse_presence(const std::string& text);

// Why the host ignores the selector of `owner`; "": it does not.
std::string refusal_of(const Presence& presence, const std::string& owner);

// Whether a host whose last message is `age` old is silent: it missed two and a half intervals.
bool is_silent(const Presence& presence, std::chrono::milliseconds age);

}  // namespace knell::fleet
