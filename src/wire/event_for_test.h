// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string_view>

#include "event/fields.h"

namespace knell::wire {

inline knell_string bytes(std::string_view text) { return {text.data(), text.size()}; }

// An event with a value in every field that its type can have, and in no other field.
inline knell_event full_event(uint32_t type) {
  using std::string_view_literals::operator""sv;
  knell_event e{};
  uint64_t has = 0;
  event::for_each_row<event::kFields>([&](auto row) {
    using enum event::Member::Kind;
    constexpr const event::Field& kField = event::kFields[row];
    if ((types_of(kField.section) & type) == 0) return;
    has |= kField.known.has;
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
  e.has = has;
  e.flags = KNELL_FLAG_ARGS_TRUNCATED | KNELL_FLAG_EXACT | KNELL_FLAG_DETAILS_LOST;
  e.via = KNELL_VIA_BPF;
  e.mono_ns = 1'000'000'123;
  e.time_ns = 1'790'000'000'000'000'123;
  e.lost_types &= KNELL_EVENT_ALL;
  if (type == KNELL_EVENT_LOST) return e;
  e.parent_comm = bytes("");
  e.container_id = {};
  e.args = bytes("sh\0-c\0\xff \n\0"sv);
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

// Compares every field but `cookie` and `size`, which belong to the listener.
inline bool same(const knell_event& a, const knell_event& b) {
  bool all = true;
  event::for_each_row<event::kFields>([&](auto row) {
    using enum event::Member::Kind;
    constexpr const event::Field& kField = event::kFields[row];
    const auto& value = event::value_of<kField.member>(a);
    const auto& other = event::value_of<kField.member>(b);
    if constexpr (kField.is(kString) || kField.is(kId))
      all = all && same(value, other);
    else if constexpr (!kField.is(kGroup))
      all = all && value == other;
  });
  return all;
}

}  // namespace knell::wire
