// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "filter/predicates.h"
#include "hub/event_encoder.h"

namespace knell::hub {

// Encodes events as readable text, and counts the calls.
class FakeEventEncoder final : public EventEncoder {
 public:
  std::string_view event(const knell_event& event, uint32_t details) override {
    ++events;
    if (event.type == KNELL_EVENT_LOST) {
      const bool exact = (event.flags & KNELL_FLAG_EXACT) != 0;
      out_ = "lost " + std::to_string(event.lost_count) + (exact ? " exact" : " at most");
      last_lost = event;
    } else {
      out_ = "pid " + std::to_string(event.pid);
      if ((event.has & KNELL_HAS_KILLER) != 0)
        out_ += " killed by " + std::to_string(event.killed_by.pid);
      if ((event.has & KNELL_HAS_LAST_SIGNAL) != 0)
        out_ += " asked by " + std::to_string(event.last_signal.pid);
      last_event = event;
      out_ += " details " + std::to_string(details);
      if (padding > out_.size()) out_.resize(padding, '.');
    }
    return out_;
  }
  std::string_view datagram(const event::Raw& raw) override {
    ++datagrams;
    out_ = "datagram " + std::to_string(raw.pid);
    return out_;
  }
  std::string_view overrun(uint64_t count) override {
    out_ = "overrun " + std::to_string(count);
    return out_;
  }

  size_t events = 0, datagrams = 0;
  size_t padding = 0;
  knell_event last_lost{}, last_event{};

 private:
  std::string out_;
};

using filter::NoAncestry;

}  // namespace knell::hub
