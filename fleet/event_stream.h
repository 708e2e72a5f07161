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

// Where a forwarder gets its events: a listener of knelld, or a test. `seq` of an event is its
// number in the journal `journal_id()`; it rises, with gaps. Not thread-safe.
class EventStream {
 public:
  EventStream() = default;
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  virtual ~EventStream() = default;

  // Never changes, and names the numbers of its events for ever.
  virtual const std::string& journal_id() const = 0;
  // Changes which events follow. Events that both the old and the new request select are not lost,
  // but may come twice. Errors: no events follow; call it again.
  virtual Result<void> set_wanted(const Wanted& wanted) = 0;
  // POLLIN: call read(). Never changes.
  virtual int fd() const = 0;
  // Up to `count` events, oldest first; none: there are none now. They are valid until the next
  // call. Never waits. Errors: no more events follow until set_wanted() is called; those that were
  // lost by the failure are then reported as lost.
  virtual Result<std::span<const knell_event* const>> read(size_t count) = 0;
  // The events up to `seq` will never be needed again.
  virtual Result<void> ack(uint64_t seq) = 0;
};

}  // namespace knell::fleet
