// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string_view>

namespace knell::wire {

inline knell_string bytes(std::string_view text) { return {text.data(), text.size()}; }

// An event with something in every field that its type can have.
inline knell_event full_event(uint32_t type) {
  using std::string_view_literals::operator""sv;
  knell_event e{};
  e.size = sizeof e;
  e.type = type;
  e.seq = 7;
  e.via = KNELL_VIA_BPF;
  e.mono_ns = 1'000'000'123;
  e.time_ns = 1'790'000'000'000'000'123;
  if (type == KNELL_EVENT_LOST) {
    e.has = KNELL_HAS_COUNT;
    e.flags = KNELL_FLAG_EXACT;
    e.lost_count = 12;
    e.lost_types = KNELL_EVENT_EXIT;
    e.lost_from_ns = 999, e.lost_until_ns = 1'000'000'123;
    e.lost_from_time_ns = 5, e.lost_until_time_ns = 6;
    return e;
  }
  e.has = KNELL_HAS_UID | KNELL_HAS_GID;
  e.id = {.boot = 0x6fa276d3, .pid = 100, .start = 490014, .kind = KNELL_ID_START};
  e.parent_id = {.boot = 0x6fa276d3, .pid = 50, .start = 77, .kind = KNELL_ID_STAMP};
  e.pid = 100, e.tid = 101, e.ppid = 50;
  e.uid = 33, e.gid = 34;
  e.comm = bytes("sh"), e.parent_comm = bytes("");
  e.exe = bytes("/usr/bin/dash"), e.cwd = bytes("/");
  e.args = bytes("sh\0-c\0\xff \n\0"sv);
  e.user = bytes("www-data");
  e.cgroup = bytes("/system.slice/cron.service"), e.unit = bytes("cron.service");
  switch (type) {
    case KNELL_EVENT_EXIT:
      e.has |= KNELL_HAS_STATUS | KNELL_HAS_DURATION | KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;
      e.flags = KNELL_FLAG_ARGS_TRUNCATED;
      e.wait_status = 9;
      e.exit_signal = 17;
      e.duration_ns = 203'007'653;
      e.killed_by = {.pid = 42,
                     .uid = 0,
                     .comm = bytes("bash"),
                     .cause = KNELL_CAUSE_USER,
                     .parent_pid = 41,
                     .parent_comm = bytes("deploy.sh"),
                     .unit = bytes("deploy.service"),
                     .memory_cgroup = bytes("/memory")};
      e.last_signal = {.signal = 15,
                       .pid = 43,
                       .uid = 34,
                       .comm = bytes("kill"),
                       .parent_comm = bytes("cron"),
                       .ago_ns = 2'100'000'000};
      break;
    case KNELL_EVENT_FORK:
      e.child_id = {.boot = 1, .pid = 101, .start = 490015, .kind = KNELL_ID_START};
      e.child_pid = 101, e.child_tid = 102;
      break;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      e.ruid = 1, e.euid = 2;
      break;
    case KNELL_EVENT_PTRACE:
      e.tracer_pid = 9;
      break;
    case KNELL_EVENT_COMM:
      e.new_comm = bytes("new");
      break;
    default:
      break;
  }
  return e;
}

inline constexpr uint32_t kEveryType[] = {
    KNELL_EVENT_FORK,   KNELL_EVENT_EXEC, KNELL_EVENT_UID,  KNELL_EVENT_GID,      KNELL_EVENT_SID,
    KNELL_EVENT_PTRACE, KNELL_EVENT_COMM, KNELL_EVENT_EXIT, KNELL_EVENT_COREDUMP, KNELL_EVENT_LOST};

inline bool same(const knell_string& a, const knell_string& b) {
  if ((a.data == nullptr) != (b.data == nullptr)) return false;
  return a.data == nullptr || std::string_view(a.data, a.size) == std::string_view(b.data, b.size);
}

inline bool same(const knell_id& a, const knell_id& b) {
  return a.boot == b.boot && a.pid == b.pid && a.start == b.start && a.kind == b.kind;
}

// Every field, and `cookie` and `size` not: they are of the listener.
inline bool same(const knell_event& a, const knell_event& b) {
  return a.has == b.has && a.type == b.type && a.flags == b.flags && a.via == b.via &&
         a.exit_signal == b.exit_signal && a.seq == b.seq && a.mono_ns == b.mono_ns &&
         a.time_ns == b.time_ns && same(a.id, b.id) && same(a.parent_id, b.parent_id) &&
         a.pid == b.pid && a.tid == b.tid && a.ppid == b.ppid && a.uid == b.uid && a.gid == b.gid &&
         a.wait_status == b.wait_status && a.duration_ns == b.duration_ns && same(a.comm, b.comm) &&
         same(a.parent_comm, b.parent_comm) && same(a.exe, b.exe) && same(a.cwd, b.cwd) &&
         same(a.args, b.args) && same(a.user, b.user) && same(a.cgroup, b.cgroup) &&
         same(a.unit, b.unit) && same(a.container_id, b.container_id) &&
         a.killed_by.pid == b.killed_by.pid && a.killed_by.uid == b.killed_by.uid &&
         a.killed_by.cause == b.killed_by.cause && same(a.killed_by.comm, b.killed_by.comm) &&
         a.killed_by.parent_pid == b.killed_by.parent_pid &&
         same(a.killed_by.parent_comm, b.killed_by.parent_comm) &&
         same(a.killed_by.unit, b.killed_by.unit) &&
         same(a.killed_by.memory_cgroup, b.killed_by.memory_cgroup) &&
         a.last_signal.signal == b.last_signal.signal && a.last_signal.pid == b.last_signal.pid &&
         a.last_signal.uid == b.last_signal.uid && a.last_signal.ago_ns == b.last_signal.ago_ns &&
         same(a.last_signal.comm, b.last_signal.comm) &&
         same(a.last_signal.parent_comm, b.last_signal.parent_comm) &&
         same(a.child_id, b.child_id) && a.child_pid == b.child_pid && a.child_tid == b.child_tid &&
         a.ruid == b.ruid && a.euid == b.euid && a.tracer_pid == b.tracer_pid &&
         same(a.new_comm, b.new_comm) && a.lost_count == b.lost_count &&
         a.lost_types == b.lost_types && a.lost_from_ns == b.lost_from_ns &&
         a.lost_until_ns == b.lost_until_ns && a.lost_from_time_ns == b.lost_from_time_ns &&
         a.lost_until_time_ns == b.lost_until_time_ns;
}

}  // namespace knell::wire
