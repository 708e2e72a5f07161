// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "fleet/interest.h"

namespace knell::fleet {

// The source of the events of a forwarder: a durable listener of knelld, or a test. `seq` of an
// event is its number in this stream; the numbers rise. Not thread-safe.
class EventStream {
 public:
  EventStream() = default;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  virtual ~EventStream() = default;

  // The name of the stream, to which `seq` belongs. Never changes, and is never used for another
  // stream.
  virtual const std::string& id() const = 0;
  // Selects which events follow. Events that both the old and the new request select are not lost.
  // Errors: no events follow; the call can be repeated.
  virtual Result<void> set_wanted(const Wanted& wanted) = 0;
  // POLLIN: call read(). Never changes.
  virtual int fd() const = 0;
  // Returns up to `count` events, oldest first; empty: there are none now. They are valid until the
  // next call. Does not block. Errors: no more events follow until set_wanted() is called.
  virtual Result<std::span<const knell_event* const>> read(size_t count) = 0;
  // Acknowledges the event with this cursor and all events before it. Events that are not
  // acknowledged are delivered again by the next stream of this host.
  virtual Result<void> ack(const std::string& cursor) = 0;
};

}  // namespace knell::fleet
