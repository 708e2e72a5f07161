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

// Where a forwarder gets its events: a durable listener of knelld, or a test. `seq` of an event is
// its number in this stream, which `id()` names; it rises. Not thread-safe.
class EventStream {
 public:
  EventStream() = default;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  virtual ~EventStream() = default;

  // Never changes, and names the numbers of its events for ever.
  virtual const std::string& id() const = 0;
  // Changes which events follow. Events that both the old and the new request select are not lost.
  // Errors: no events follow; call it again.
  virtual Result<void> set_wanted(const Wanted& wanted) = 0;
  // POLLIN: call read(). Never changes.
  virtual int fd() const = 0;
  // Up to `count` events, oldest first; none: there are none now. They are valid until the next
  // call. Never waits. Errors: no more events follow until set_wanted() is called.
  virtual Result<std::span<const knell_event* const>> read(size_t count) = 0;
  // The event with this cursor, and those before it, will never be needed again. Those that were
  // not acknowledged come again from the next stream of this host.
  virtual Result<void> ack(const std::string& cursor) = 0;
};

}  // namespace knell::fleet
