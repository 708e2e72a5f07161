// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/event_details.h"

#include <algorithm>
#include <array>

namespace knell::fleet {
namespace {

constexpr uint64_t kHasOfStatus =
    KNELL_HAS_STATUS | KNELL_HAS_DURATION | KNELL_HAS_COUNT | KNELL_HAS_PPID;
constexpr uint64_t kHasOfNames = kHasOfStatus | KNELL_HAS_UID | KNELL_HAS_GID | KNELL_HAS_KILLER |
                                 KNELL_HAS_KILLER_PID | KNELL_HAS_KILLER_UID |
                                 KNELL_HAS_KILLER_PPID | KNELL_HAS_LAST_SIGNAL |
                                 KNELL_HAS_LAST_SIGNAL_PID | KNELL_HAS_LAST_SIGNAL_UID;

// The keys of knell_match() that need less than all details. A key that is added to the library
// needs all until it is added here.
constexpr std::array<std::string_view, 5> kKeysOfStatus{"ended", "exit-code", "signal", "longer",
                                                        "shorter"};
constexpr std::array<std::string_view, 6> kKeysOfNames{"comm",   "uid",       "unit",
                                                       "cgroup", "container", "tty"};

}  // namespace

uint32_t details_of(std::string_view key, std::string_view value) {
  if (std::ranges::find(kKeysOfNames, key) != kKeysOfNames.end()) return KNELL_DETAILS_NAMES;
  if (std::ranges::find(kKeysOfStatus, key) == kKeysOfStatus.end()) return KNELL_DETAILS_FULL;
  // Whether the OOM killer was the cause is not part of the status.
  return value.contains("oom") ? KNELL_DETAILS_NAMES : KNELL_DETAILS_STATUS;
}

bool has_details(uint32_t details, uint32_t needed) {
  static_assert(KNELL_DETAILS_FULL < KNELL_DETAILS_NAMES &&
                KNELL_DETAILS_NAMES < KNELL_DETAILS_STATUS);
  return details <= needed;
}

std::string_view details_name(uint32_t details) {
  return details == KNELL_DETAILS_STATUS  ? "status"
         : details == KNELL_DETAILS_NAMES ? "names"
                                          : "full";
}

// Copies the members that may be sent. A member that is added to knell_event is not sent until it
// is added here.
knell_event with_details(const knell_event& event, uint32_t details) {
  if (details == KNELL_DETAILS_FULL) return event;
  knell_event out{};
  out.size = sizeof out;
  out.has = event.has & (details == KNELL_DETAILS_NAMES ? kHasOfNames : kHasOfStatus);
  out.type = event.type;
  out.flags = event.flags & ~KNELL_FLAG_ARGS_TRUNCATED;
  out.via = event.via;
  out.exit_signal = event.exit_signal;
  out.seq = event.seq;
  out.mono_ns = event.mono_ns;
  out.time_ns = event.time_ns;
  out.id = event.id;
  out.parent_id = event.parent_id;
  out.pid = event.pid;
  out.tid = event.tid;
  out.ppid = event.ppid;
  out.wait_status = event.wait_status;
  out.duration_ns = event.duration_ns;
  out.child_id = event.child_id;
  out.child_pid = event.child_pid;
  out.child_tid = event.child_tid;
  out.ruid = event.ruid;
  out.euid = event.euid;
  out.rgid = event.rgid;
  out.egid = event.egid;
  out.tracer_pid = event.tracer_pid;
  out.new_comm = event.new_comm;
  out.lost_count = event.lost_count;
  out.lost_types = event.lost_types;
  out.lost_from_ns = event.lost_from_ns;
  out.lost_until_ns = event.lost_until_ns;
  out.lost_from_time_ns = event.lost_from_time_ns;
  out.lost_until_time_ns = event.lost_until_time_ns;
  out.cursor = event.cursor;
  if (details != KNELL_DETAILS_NAMES) return out;
  out.comm = event.comm;
  out.parent_comm = event.parent_comm;
  out.uid = event.uid;
  out.gid = event.gid;
  out.user = event.user;
  out.cgroup = event.cgroup;
  out.unit = event.unit;
  out.container_id = event.container_id;
  out.tty = event.tty;
  out.killed_by = event.killed_by;
  out.last_signal = event.last_signal;
  return out;
}

}  // namespace knell::fleet
