// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>

#include "hub/filter.h"
#include "server/wire_event_encoder.h"
#include "wire/event.h"

namespace knell::daemon {

// Writes events of the journal into one frame for a client, with their cursors, and without the
// data that the client may not see.
class JournalFrame {
 public:
  // Appends to `out`. The arguments must outlive it.
  JournalFrame(std::string& out, wire::Message type, const std::string& journal,
               const hub::Scope& scope, uint32_t details, server::WireEventEncoder& encoder)
      : out_(out),
        frame_(out, 0, type),
        journal_(journal),
        scope_(scope),
        details_(details),
        encoder_(encoder) {}
  // Adds an event and changes it in place; its `seq` is that of the journal. False: the frame is
  // full, and nothing was added.
  bool add(knell_event& event);
  bool empty() const { return frame_.empty(); }
  void finish() { frame_.finish(); }

 private:
  std::string& out_;
  wire::EventFrame frame_;
  const std::string& journal_;
  const hub::Scope& scope_;
  const uint32_t details_;
  server::WireEventEncoder& encoder_;
};

}  // namespace knell::daemon
