// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string_view>

#include "event/fields.h"

namespace knell::journal {

inline knell_string bytes(std::string_view text) { return {text.data(), text.size()}; }

inline constexpr int64_t kEpochNs = 1'790'000'000'000'000'000;

// The exit of process `pid` with this wait status, one millisecond after that of the pid before.
inline knell_event exit_event(int32_t pid, int32_t status = 0x100) {
  knell_event e{};
  e.size = sizeof e;
  e.type = KNELL_EVENT_EXIT;
  e.has = KNELL_HAS_STATUS | KNELL_HAS_UID | KNELL_HAS_GID | KNELL_HAS_PPID | KNELL_HAS_DURATION;
  e.via = KNELL_VIA_BPF;
  e.mono_ns = 1'000'000'000 + static_cast<uint64_t>(pid) * 1'000'000;
  e.time_ns = kEpochNs + static_cast<int64_t>(e.mono_ns);
  e.pid = e.tid = pid;
  e.ppid = 900;
  e.id = {.boot = 0x6fa276d3,
          .pid = pid,
          .start = 100 + static_cast<uint64_t>(pid) / 10,
          .kind = KNELL_ID_START};
  e.parent_id = {.boot = 0x6fa276d3, .pid = 900, .start = 77, .kind = KNELL_ID_START};
  e.wait_status = status;
  e.duration_ns = 2'345'678;
  e.comm = bytes("grep");
  e.parent_comm = bytes("backup.sh");
  e.exe = bytes("/usr/bin/grep");
  e.args = bytes(std::string_view("grep\0-q\0nosuch\0/etc/passwd\0", 27));
  e.cgroup = bytes("/system.slice/cron.service");
  e.unit = bytes("cron.service");
  return e;
}

// Compares all fields of the table but seq.
inline bool same(const knell_event& a, const knell_event& b) {
  bool all = true;
  event::for_each_row<event::kFields>([&](auto row) {
    using enum event::Member::Kind;
    constexpr const event::Field& kField = event::kFields[row];
    const auto& x = event::value_of<kField.member>(a);
    const auto& y = event::value_of<kField.member>(b);
    if constexpr (kField.is(kString))
      all = all && (x.data == nullptr) == (y.data == nullptr) &&
            (x.data == nullptr ||
             std::string_view(x.data, x.size) == std::string_view(y.data, y.size));
    else if constexpr (kField.is(kId))
      all = all && x.boot == y.boot && x.pid == y.pid && x.start == y.start && x.kind == y.kind;
    else if constexpr (!kField.is(kGroup) && kField.name != "seq")
      all = all && x == y;
  });
  return all;
}

// An event with a value in every field that its type has.
inline knell_event full_event(uint32_t type) {
  knell_event e{};
  event::for_each_row<event::kFields>([&](auto row) {
    using enum event::Member::Kind;
    constexpr const event::Field& kField = event::kFields[row];
    if ((types_of(kField.section) & type) == 0) return;
    auto& value = event::value_of<kField.member>(e);
    if constexpr (kField.is(kString))
      value = bytes(kField.name);
    else if constexpr (kField.is(kId))
      value = {.boot = 0x6fa276d3, .pid = row + 1, .start = row + 2, .kind = KNELL_ID_START};
    else if constexpr (!kField.is(kGroup) && kField.flag == 0)
      value = row + 3;
  });
  e.size = sizeof e;
  e.type = type;
  e.mono_ns = 1'000'000'123;
  e.time_ns = kEpochNs + 123;
  e.seq = 0;
  e.cursor = {};  // made of seq
  return e;
}

}  // namespace knell::journal
