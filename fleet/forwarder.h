// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/batch.h"
#include "fleet/connection.h"
#include "fleet/event_stream.h"
#include "fleet/history_service.h"
#include "fleet/interest.h"
#include "fleet/outbox.h"
#include "fleet/presence.h"

namespace knell::fleet {

struct ForwarderOptions {
  std::string host;
  uint32_t allowed = 0;                   // mask of the events that this host may send
  uint32_t details = KNELL_DETAILS_FULL;  // enum knell_details: those that `stream` has
  Outbox::Limits outbox;
  BatchLimits batch;
  // Limits the events sent a second, so that hosts do not flood the server after an outage; 0: no
  // limit. The unused part of the last ten seconds may be sent at once.
  uint32_t events_per_second = 2000;
  std::chrono::milliseconds heartbeat = std::chrono::seconds(30);
  // Answers queries of past events; null: this host answers none. Must outlive the forwarder.
  HistoryService* history = nullptr;
  // How long readers have to renew their leases after the server is reached again: more than the
  // renewal interval of a reader, and the delay of its reconnect.
  std::chrono::milliseconds lease_grace = std::chrono::seconds(30);
};

// Sends the events of one host that the fleet requests to the server. One thread calls step()
// whenever a descriptor of the stream, of the connection or of the history is readable, or after
// timeout(). At most one message is not yet acknowledged, so the messages have the order of the
// events, also when the server is replaced meanwhile. step() waits for nothing but that
// acknowledgement. A lost connection is not an error: the forwarder keeps the events that fit in
// the outbox, and reads no more.
class Forwarder {
 public:
  Forwarder(ForwarderOptions options, EventStream& stream, Connection& connection, Clock& clock,
            std::function<void(const std::string&)> log);

  // Subscribes to the interest of the fleet, and to queries. Call once, first.
  Result<void> start();
  void step();
  // How long step() has nothing to do unless a descriptor becomes readable.
  std::chrono::milliseconds timeout() const;
  // false: do not poll the stream, because the outbox has no room for its events.
  bool reads_events() const { return outbox_.has_room(); }
  // Ends the open batch, and sends the waiting batches, for this time at most.
  void finish(std::chrono::milliseconds limit);

  const Presence& presence() const { return presence_; }
  const Outbox& outbox() const { return outbox_; }

 private:
  uint64_t now() const { return clock_.monotonic_ns(); }
  int64_t now_ms() const { return clock_.realtime_ns() / 1'000'000; }
  void note_connection();
  void note_messages();
  void set_interest(FleetInterest interest);
  void read_interest();
  void advance_lease_time();
  void join_interest();
  void apply_interest();
  void read_events();
  void push_ended();
  void send();
  void send_one(const EventBatch& batch);
  void retry_later(const std::string& state);
  uint64_t events_allowed();
  void send_history();
  void note_backlog();
  void send_presence();
  uint64_t presence_interval_ns() const;
  uint64_t grace_end_ns() const;
  void set_state(const std::string& state);

  ForwarderOptions options_;
  EventStream& stream_;
  Connection& connection_;
  Clock& clock_;
  std::function<void(const std::string&)> log_;

  BatchCutter cutter_;
  Outbox outbox_;
  Presence presence_;
  FleetInterest interest_;
  bool knows_interest_ = false;
  Wanted wanted_;                // the part of interest_ that applies to this host,
  int64_t wanted_until_ms_ = 0;  // valid while lease_time_ms_ is below
  std::optional<Wanted> applied_;
  std::vector<RefusedSelector> refused_;
  std::vector<EventBatch> ended_;

  uint64_t connects_ = 0;
  std::string server_id_;
  std::string stream_state_ = "ok", send_state_ = "ok", name_state_;
  uint64_t name_until_ns_ = 0;  // name_state_ is valid until then
  std::string refusal_;         // the last one that was logged
  // the stream has events that were not read because the outbox was full
  bool more_events_ = false;
  uint64_t interest_due_ns_ = 0;    // when to read the interest
  uint64_t interest_tried_ns_ = 0;  // when it was last attempted
  bool older_interest_ = false;     // the last read returned an older revision than is known
  int64_t interest_read_ms_ = 0;    // when it was last read
  // Leases that end after this time are valid. It is the present, or the time from which on readers
  // may have been unable to renew their leases.
  int64_t lease_time_ms_ = 0;
  uint64_t reached_ns_ = 0;     // since when the server is reachable without an interruption
  int64_t lease_delay_ms_ = 0;  // different for each host, so that not all read the bucket at once
  uint64_t apply_due_ns_ = 0;   // when to try again to open the stream
  bool stream_failed_ = false;
  uint64_t send_due_ns_ = 0;  // the earliest time of the next attempt
  uint64_t delay_ns_ = 0;     // delay of the next retry
  uint64_t presence_due_ns_ = 0;
  double tokens_ = 0;  // events that the rate limit allows to send
  uint64_t tokens_ns_ = 0;
};

}  // namespace knell::fleet
