// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "fleet/batch.h"

namespace knell::fleet {

// The batches of a forwarder, from their creation until they are on the server's disk:
//
//   push() -> waiting -- next() + stored() -> sent -- after `hold` -> acked (released)
//                ^                              |
//                +---------- resend() ----------+
//
// When a server acknowledges a message, the message is in the memory of its kernel, not on its
// disk; the server syncs it to disk after a minute or two. If the machine of the server loses
// power, acknowledged messages are lost. So a batch is kept until its acknowledgement is `hold`
// old. If the server was restarted, or its stream went back in time, all kept batches wait to be
// sent again, in order, with the same ids. Not thread-safe.
class Outbox {
 public:
  struct Limits {
    size_t bytes = size_t{16} << 20;
    uint64_t events = UINT64_MAX;
    std::chrono::nanoseconds hold = std::chrono::minutes(5);  // twice the server's flush interval
  };
  explicit Outbox(Limits limits) : limits_(limits) {}

  // false: read no more events from the stream, which keeps or counts them. Sent batches count
  // against the limit but do not prevent new ones: the oldest sent batches are released before
  // `hold` has passed.
  bool has_room() const { return waiting_bytes_ < limits_.bytes; }
  void push(EventBatch batch);

  const EventBatch* next() const;  // the oldest waiting batch; null: none
  // The server acknowledged next() as message `stream_seq` of its stream. `repeat`: the server had
  // it already. If `stream_seq` shows that the stream went back in time, calls resend().
  void stored(uint64_t stream_seq, bool repeat, uint64_t now_ns);
  // Removes next(), which is too large for the server. Its events are lost.
  void drop();
  // The server may have lost messages: all kept batches wait to be sent again.
  void resend();
  // Releases the batches that are safe at `now_ns`. Returns the cursor of the last event that will
  // not be sent again, if it has changed since the last call.
  std::optional<std::string> release(uint64_t now_ns);

  uint64_t sent() const { return sent_; }    // seq of the last event that was acknowledged
  uint64_t acked() const { return acked_; }  // seq up to which nothing will be sent again
  size_t waiting() const { return batches_.size() - next_; }
  uint64_t waiting_events() const { return waiting_events_; }
  // The number of kept events: waiting, or sent and not acked.
  uint64_t events() const { return events_; }
  // The number of batches released before `hold` passed, because of the limit.
  uint64_t released_early() const { return released_early_; }
  // The number of calls of resend() with at least one batch to send again.
  uint64_t resends() const { return resends_; }

 private:
  struct Kept {
    EventBatch batch;
    uint64_t stored_ns = 0;
  };
  void release_front();
  void keep_to_limits();

  Limits limits_;
  std::deque<Kept> batches_;  // oldest first; those before next_ were sent
  size_t next_ = 0;
  size_t bytes_ = 0, waiting_bytes_ = 0;
  uint64_t events_ = 0, waiting_events_ = 0;
  uint64_t sent_ = 0, acked_ = 0;
  std::optional<std::string> released_;  // the cursor that release() will return
  uint32_t shard_ = 0;                   // shard of the last batch that was stored
  uint64_t stream_seq_ = 0;              // highest number in that shard since the last resend()
  uint64_t released_early_ = 0, resends_ = 0;
};

}  // namespace knell::fleet
