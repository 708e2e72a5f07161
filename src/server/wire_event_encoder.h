// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hub/event_encoder.h"
#include "wire/event.h"

namespace knell::server {

// Adds an event that WireEventEncoder::event() encoded. False: no room.
bool add_encoded(wire::EventFrame& frame, std::string_view encoded);

// Encodes events for both protocols. A native event is not a whole frame: it is 8 bytes of epoch
// (CLOCK_REALTIME less CLOCK_MONOTONIC, ns) followed by the kEvent attribute.
class WireEventEncoder final : public hub::EventEncoder {
 public:
  std::string_view event(const knell_event& event, uint32_t details) override;
  std::string_view datagram(const event::Raw& raw) override;
  std::string_view overrun(uint64_t count) override;

 private:
  std::string buffer_, out_;
};

}  // namespace knell::server
