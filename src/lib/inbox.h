// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/event.h"

namespace knell::lib {

// Packets of events on their way from the daemon to the caller of knell_read(). Events are decoded
// where the packet was received, and their text stays there until begin(). Packets that came while
// something else was waited for are kept aside, in their order; what is too much for that is
// counted.
class Inbox {
 public:
  static constexpr size_t kPackets = 4;                   // received between two begin(), at least
  static constexpr size_t kMostAside = size_t{16} << 20;  // picked: some seconds of a storm

  Inbox() : buffer_(kPackets * wire::kMostFrame) {}

  // What was decoded before may be overwritten.
  void begin();
  // Room for one packet; empty: none until begin(). Not while there are packets aside, nor while
  // one is being decoded.
  std::span<char> room();
  // What was received into room(): a frame's payload.
  void take(std::string_view payload);
  // A payload that lies elsewhere.
  void put_aside(std::string_view payload);

  // The next event of what was taken, then of what was put aside. False: there is none, or what
  // follows is malformed, see broken().
  bool next(knell_event& event);
  bool broken() const { return broken_; }
  // Whether the event that next() gave was put aside.
  bool from_aside() const { return from_aside_; }
  // Whether there may be a next one.
  bool pending() const { return reader_.has_value() || !aside_.empty(); }
  // Events that were dropped because too many were put aside; 0 from then on.
  uint64_t take_dropped() { return std::exchange(dropped_, 0); }

 private:
  bool open_next();

  std::vector<char> buffer_;
  size_t used_ = 0;  // of buffer_
  std::optional<wire::EventReader> reader_;
  std::deque<std::string> aside_;
  size_t aside_bytes_ = 0;
  std::deque<std::string> held_;  // those of aside_ whose events were handed out
  uint64_t dropped_ = 0;
  bool from_aside_ = false, broken_ = false;
};

}  // namespace knell::lib
