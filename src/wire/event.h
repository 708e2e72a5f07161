// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Encodes events into frames, and decodes them. The layout is in event/fields.h.
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/frame.h"

namespace knell::wire {

// The most bytes that the event can take in a frame, kEpoch included.
size_t event_bytes(const knell_event& event);
// A larger event cannot be put into a frame. Those of libknell take less than half of it.
inline constexpr size_t kMostEvent = kMostPayload;

// CLOCK_REALTIME minus CLOCK_MONOTONIC at the time of the event, in ns.
int64_t epoch_of(const knell_event& event);

// Encodes an event once, for the frames of any number of listeners: returns the bytes of its kEvent
// attribute, which are in `buffer`; its old content is lost. event_bytes() of the event must be at
// most kMostEvent.
std::string_view encode_event(std::string& buffer, const knell_event& event);

// Writes one frame of events. kEpoch is written before the first event and where it changes, so
// that each frame can be read by itself.
class EventFrame {
 public:
  // Appends to `out`, which nothing else may change until finish().
  explicit EventFrame(std::string& out, uint32_t number = 0, Message type = Message::kEvents)
      : frame_(out, type, number) {}
  // False: no room, nothing was added. A new frame has room for any event up to kMostEvent.
  bool add(const knell_event& event);
  // Adds an event that encode_event() encoded. `epoch_ns`: its epoch_of().
  bool add(int64_t epoch_ns, std::string_view event);
  bool empty() const { return frame_.payload() == 0; }
  void finish() { frame_.finish(); }

 private:
  void set_epoch(int64_t epoch_ns);

  FrameWriter frame_;
  std::optional<int64_t> epoch_ns_;
};

// Iterates over the events in the payload of one frame. The payload may be untrusted. Text in an
// event points into the payload; an id of an unknown kind becomes "unknown".
class EventReader {
 public:
  // `type`: of the frame, kEvents or kProcesses. A process of a snapshot has no type of event.
  explicit EventReader(std::string_view payload, Message type = Message::kEvents)
      : attributes_(payload), snapshot_(type == Message::kProcesses) {}
  // False: no more events, or the next one is malformed; see malformed().
  bool next(knell_event& event);
  bool malformed() const { return malformed_ || attributes_.malformed(); }

 private:
  bool read(std::string_view bytes, knell_event& event);

  AttributeReader attributes_;
  bool snapshot_;
  int64_t epoch_ns_ = 0;
  bool malformed_ = false;
};

}  // namespace knell::wire
