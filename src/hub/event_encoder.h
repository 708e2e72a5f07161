// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string_view>

#include "event/raw.h"

namespace knell::hub {

// Turns events into the bytes that listeners are sent: the hub knows no format. What is returned
// lives until the next call.
class EventEncoder {
 public:
  virtual ~EventEncoder() = default;
  // With no more than those details (enum knell_details).
  virtual std::string_view event(const knell_event& event, uint32_t details) = 0;
  // With the pids of that pid namespace (0: the initial one). Empty: its subject has none there
  // that is known.
  virtual std::string_view datagram(const event::Raw& raw, uint32_t ns) = 0;
  // For a listener to datagrams that asked for it: so many were lost.
  virtual std::string_view overrun(uint64_t count) = 0;
};

}  // namespace knell::hub
