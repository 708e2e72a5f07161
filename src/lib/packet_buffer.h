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

// Packets of events that were received from the daemon and not yet returned by knell_read(). Events
// are decoded in the buffer of their packet, and their strings are valid until begin(). Packets
// received while waiting for an ack are put aside in order. Above a limit their events are dropped
// and counted.
class PacketBuffer {
 public:
  // Minimum number of packets that fit between two calls of begin()
  static constexpr size_t kPackets = 4;
  // Chosen, not measured: several seconds of events at a very high load.
  static constexpr size_t kMostAside = size_t{16} << 20;

  PacketBuffer() : buffer_(kPackets * wire::kMostFrame) {}

  // Frees the buffers of the events decoded so far.
  void begin();
  // Space to receive one packet; empty: none before the next begin(). Must not be called while
  // pending().
  std::span<char> room();
  // Adds the payload of a frame that was received into room().
  void take(std::string_view payload);
  // Copies a payload from another buffer. After one payload was dropped, all following ones are
  // dropped until take_dropped().
  void put_aside(std::string_view payload);

  // The next event of the packet that was taken, then of those put aside. False: there is none, or
  // the next one is malformed, see malformed().
  bool next(knell_event& event);
  bool malformed() const { return malformed_; }
  // Whether the last event of next() had been put aside.
  bool from_aside() const { return from_aside_; }
  // Whether next() may return another event.
  bool pending() const { return reader_.has_value() || !aside_.empty(); }
  // Drops the events that next() has not returned. Returned events stay valid until begin().
  void drop_pending() noexcept;
  // The number of events dropped because too many were put aside. Resets it to 0.
  uint64_t take_dropped() { return std::exchange(dropped_, 0); }

 private:
  bool open_next();

  std::vector<char> buffer_;
  size_t used_ = 0;  // number of used bytes in buffer_
  std::optional<wire::EventReader> reader_;
  std::deque<std::string> aside_;
  size_t aside_bytes_ = 0;
  // Packets from aside_ that next() has decoded; its events point into them
  std::deque<std::string> held_;
  uint64_t dropped_ = 0;
  bool from_aside_ = false, malformed_ = false;
};

}  // namespace knell::lib
