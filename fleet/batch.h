// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knell::fleet {

// Consecutive events with one subject, sent as one message. A batch is complete when it is made and
// never changes: a message that is sent again has the same id and the same bytes, so the server can
// drop the repeat.
struct EventBatch {
  uint32_t shard = 0;
  std::string subject;
  uint64_t first = 0, last = 0;  // seq of the first and the last event
  uint32_t count = 0;            // number of events
  uint64_t lost = 0;             // sum of the counts of its lost events
  std::string payload;           // one JSON object a line
  std::string cursor;            // of the last event
  int64_t time_ns = 0;           // of the first event, CLOCK_REALTIME
};

// The id of the message of a batch: "<stream>:<first>-<last>".
std::string message_id(std::string_view stream, const EventBatch& batch);

struct BatchLimits {
  uint32_t events = 64;
  size_t bytes = size_t{64} << 10;  // exceeded only by a message with a single event
  std::chrono::nanoseconds age = std::chrono::milliseconds(50);
};

// Groups a stream of events into batches. A batch ends when the subject changes (so the messages
// have the order of the host's events), when it reaches a limit, or when its age reaches
// BatchLimits::age. Not thread-safe.
class BatchCutter {
 public:
  explicit BatchCutter(std::string host, BatchLimits limits = {})
      : host_(std::move(host)), limits_(limits) {}

  // Sets the shard of the events that are added from now on.
  void set_shard(uint32_t shard) { shard_ = shard; }
  // Adds one event. `seq` must be higher than that of the event before. Appends the batches that
  // end with this call to `out`.
  void add(const knell_event& event, uint64_t seq, uint64_t now_ns, std::vector<EventBatch>& out);
  // Ends the open batch if its age has reached the limit at `now_ns`.
  void end_old(uint64_t now_ns, std::vector<EventBatch>& out);
  void end(std::vector<EventBatch>& out);
  // The number of events in the open batch, and the time of the first of them.
  uint32_t open_events() const { return open_.count; }
  int64_t open_time_ns() const { return open_.time_ns; }
  // When end_old() will end the open batch, CLOCK_MONOTONIC ns; nullopt: no batch is open.
  std::optional<uint64_t> due_ns() const;

 private:
  std::string_view line_of(const knell_event& event);

  std::string host_;
  BatchLimits limits_;
  uint32_t shard_ = 0;
  std::string buffer_ = std::string(size_t{64} << 10, '\0');
  EventBatch open_;
  std::string payload_;  // of the open batch
  uint32_t open_type_ = 0;
  std::string_view open_ended_;
  uint64_t opened_ns_ = 0;
};

}  // namespace knell::fleet
