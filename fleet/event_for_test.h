// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>

namespace knell::fleet {

// An exit of process `pid` with this wait status; its start, and with it its id, is `pid` too.
inline knell_event exit_for_test(int pid, int wait_status = 1 << 8) {
  knell_event event{};
  event.size = sizeof event;
  event.type = KNELL_EVENT_EXIT;
  event.via = KNELL_VIA_BPF;
  event.has = KNELL_HAS_STATUS;
  event.wait_status = wait_status;
  event.pid = event.tid = pid;
  event.id = {0xc0ffee, pid, static_cast<uint64_t>(pid), KNELL_ID_START};
  event.mono_ns = 1'000'000'000 + static_cast<uint64_t>(pid);
  return event;
}

inline knell_event event_for_test(uint32_t type) {
  knell_event event = exit_for_test(7);
  event.type = type;
  event.has = 0;
  event.wait_status = 0;
  return event;
}

}  // namespace knell::fleet
