// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string_view>

#include "event/raw.h"

namespace knell::hub {

// Encodes events into the bytes that listeners receive: the hub itself knows no format. A returned
// view is valid until the next call.
class EventEncoder {
 public:
  virtual ~EventEncoder() = default;
  // Encodes an event with at most these details (enum knell_details).
  virtual std::string_view event(const knell_event& event, uint32_t details) = 0;
  virtual std::string_view datagram(const event::Raw& raw) = 0;
  // Encodes the message that reports `count` lost events to a listener of datagrams.
  virtual std::string_view overrun(uint64_t count) = 0;
};

}  // namespace knell::hub
