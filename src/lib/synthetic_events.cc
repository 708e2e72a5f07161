// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/synthetic_events.h"

#include <charconv>

#include "process/timebase.h"

namespace knell::lib {
namespace {

knell_event event_of_now(uint32_t type, uint64_t now, const process::Timebase& time) {
  knell_event event{};
  event.size = sizeof event;
  event.type = type;
  event.mono_ns = now;
  event.time_ns = time.realtime_ns(now);
  return event;
}

process::Timebase timebase(const Clock& clock) {
  process::Timebase time;
  time.take(clock);
  return time;
}

}  // namespace

knell_event synthetic_exit(const Clock& clock, std::string_view boot_id, int32_t pid,
                           uint64_t start, std::optional<int32_t> wait_status, uint32_t flags) {
  const uint64_t now = clock.monotonic_ns();
  knell_event event = event_of_now(KNELL_EVENT_EXIT, now, timebase(clock));
  event.via = KNELL_VIA_PIDFD;
  event.flags = flags;
  event.pid = event.tid = pid;
  const std::string_view boot = boot_id.substr(0, 8);
  (void)std::from_chars(boot.data(), boot.data() + boot.size(), event.id.boot, 16);
  event.id.pid = pid;
  event.id.start = start != 0 ? start : now;
  event.id.kind = start != 0 ? KNELL_ID_START : KNELL_ID_STAMP;
  if (wait_status) {
    event.has = KNELL_HAS_STATUS;
    event.wait_status = *wait_status;
  }
  return event;
}

knell_event synthetic_lost(const Clock& clock, uint64_t from_ns, std::optional<uint64_t> count) {
  const uint64_t now = clock.monotonic_ns();
  const process::Timebase time = timebase(clock);
  knell_event event = event_of_now(KNELL_EVENT_LOST, now, time);
  event.lost_types = KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT;
  event.lost_from_ns = from_ns;
  event.lost_until_ns = now;
  event.lost_from_time_ns = time.realtime_ns(from_ns);
  event.lost_until_time_ns = event.time_ns;
  if (count) {
    event.has = KNELL_HAS_COUNT;
    event.flags = KNELL_FLAG_EXACT;
    event.lost_count = *count;
  }
  return event;
}

}  // namespace knell::lib
