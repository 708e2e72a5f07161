// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <algorithm>
#include <cstdint>

namespace knell::daemon {

// A lost event without a count and types: the events of the last `ago_ns` are missing. `mono_ns`,
// `time_ns`: the time now, of CLOCK_MONOTONIC and CLOCK_REALTIME.
inline knell_event lost_until_now(uint64_t ago_ns, uint64_t mono_ns, int64_t time_ns) {
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.mono_ns = lost.lost_until_ns = mono_ns;
  lost.time_ns = lost.lost_until_time_ns = time_ns;
  lost.lost_from_ns = mono_ns - std::min(mono_ns, ago_ns);
  lost.lost_from_time_ns = time_ns - static_cast<int64_t>(ago_ns);
  return lost;
}

}  // namespace knell::daemon
