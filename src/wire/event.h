// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Events in frames, and out of them. What stands where is in event/fields.h.
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/frame.h"

namespace knell::wire {

// What an event takes in a frame, at the most (kEpoch included).
size_t event_bytes(const knell_event& event);
// An event that takes more is not for a frame; those of libknell take less than half of it.
inline constexpr size_t kMostEvent = kMostPayload;

// CLOCK_REALTIME less CLOCK_MONOTONIC when the event was stamped.
int64_t epoch_of(const knell_event& event);

// One event as the bytes of its kEvent attribute, so that it is encoded once and goes into the
// frames of many. They lie in `buffer`, which it overwrites. The caller has seen that event_bytes()
// are no more than kMostEvent.
std::string_view encode_event(std::string& buffer, const knell_event& event);

// Writes one frame of events. The epoch is written where it changes, and in each frame anew, so
// that every frame can be read by itself.
class EventFrame {
 public:
  // At the end of `out`; nothing else may be put there until finish().
  explicit EventFrame(std::string& out, uint32_t number = 0)
      : frame_(out, Message::kEvents, number) {}
  // False: there is no room left, and nothing was added; in a new frame there always is.
  bool add(const knell_event& event);
  // One that encode_event() encoded; `epoch_ns`: epoch_of() it.
  bool add(int64_t epoch_ns, std::string_view event);
  bool empty() const { return frame_.payload() == 0; }
  void finish() { frame_.finish(); }

 private:
  void set_epoch(int64_t epoch_ns);

  FrameWriter frame_;
  std::optional<int64_t> epoch_ns_;
};

// Steps through the events of one frame's payload. Text in an event points into the payload. What
// the bytes say is believed as far as it can do no harm: unknown kinds become "unknown".
class EventReader {
 public:
  explicit EventReader(std::string_view payload) : attributes_(payload) {}
  // False: there is none any more, or what follows is malformed, see broken().
  bool next(knell_event& event);
  bool broken() const { return broken_ || attributes_.broken(); }

 private:
  bool read(std::string_view bytes, knell_event& event);

  AttributeReader attributes_;
  int64_t epoch_ns_ = 0;
  bool broken_ = false;
};

}  // namespace knell::wire
