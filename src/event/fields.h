// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The table of the fields of knell_event. All code that handles an event field by field uses it:
// the wire (wire/event.cc), JSON (event/json.cc), what is withheld from a listener
// (event/visibility.h), the tests, and docs/fields.md, which tools/check-docs compares with it. A
// new field is a member of knell_event, a row here, and a line where a source fills it. A row with
// only name, member and attribute is shown only to listeners that get full details and may see
// every process.
//
// The functions that use the table are templates of it, so that the code of each row is compiled by
// itself, without a loop or a branch, and so that tests can use a table with an additional row.
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "event/namespace_pids.h"

namespace knell::event {

// A member of knell_event, possibly inside killed_by or last_signal.
struct Member {
  enum class Kind : uint8_t { kNone, kString, kId, kSigned, kUnsigned, kGroup };
  uint16_t offset = 0, size = 0;
  Kind kind = Kind::kNone;
};
template <class T>
consteval Member member_at(size_t offset) {
  using enum Member::Kind;
  return {.offset = static_cast<uint16_t>(offset),
          .size = sizeof(T),
          .kind = std::is_same_v<T, knell_string> ? kString
                  : std::is_same_v<T, knell_id>   ? kId
                  : std::is_class_v<T>            ? kGroup
                  : std::is_signed_v<T>           ? kSigned
                                                  : kUnsigned};
}
#define KNELL_MEMBER(name) \
  ::knell::event::member_at<decltype(knell_event::name)>(offsetof(knell_event, name))

// The section of an event's JSON in which the field is, and so the events that have it. The
// sections of an event are kEvery, kProcess, the one of its type, and kEnd; a lost event has kEvery
// and kLost only. kKilledBy and kLastSignal: inside that object.
enum class Section : uint8_t {
  kEvery,
  kProcess,
  kExit,
  kKilledBy,
  kLastSignal,
  kFork,
  kUid,
  kGid,
  kPtrace,
  kComm,
  kLost,
  kEnd
};
constexpr uint32_t types_of(Section section) {
  constexpr uint32_t kNotLost = ~uint32_t{KNELL_EVENT_LOST};
  constexpr uint32_t kTypes[] = {UINT32_MAX,       kNotLost,         KNELL_EVENT_EXIT,
                                 KNELL_EVENT_EXIT, KNELL_EVENT_EXIT, KNELL_EVENT_FORK,
                                 KNELL_EVENT_UID,  KNELL_EVENT_GID,  KNELL_EVENT_PTRACE,
                                 KNELL_EVENT_COMM, KNELL_EVENT_LOST, kNotLost};
  return kTypes[static_cast<size_t>(section)];
}
// clang-format on

// The position on the wire. Each text has an attribute of its own; other values are at a fixed
// offset of a shared attribute, in the machine's byte order.
struct Wire {
  static constexpr uint16_t kWhole = 0xffff;
  uint16_t attribute = 0;  // 0: not sent
  uint16_t at = kWhole;
  bool later = false;  // added to the attribute later: old writers send the attribute without it
};

// The process that the field is about: a listener that may see the event's process may not be
// allowed to see other processes.
enum class About : uint8_t {
  kAnother,  // a process not listed below: only for listeners that may see every process
  kEvent,    // no process
  kSubject,  // the process that the event is about
  kParent,
  kChild,
  kTracer,
  kKiller,
  kKillerParent,
  kLastSender,  // the sender of last_signal
  kLastSenderParent
};

// How a value is written in JSON.
enum class Format : uint8_t {
  kPlain,
  kType,
  kTime,
  kVia,
  kCause,
  kSignal,
  kArgs,
  kFlag,
  kTypes,
  kStatus  // with exit_code, signal and core_dumped after it
};
// clang-format on

// When a value is known: if the bit of `has` is set, or if the member is not null; with neither of
// them, always. A text is unknown if its data is null, an id if its kind is 0. With both,
// note_presence() sets the bit if the member is not 0.
struct Known {
  uint64_t has = 0;  // KNELL_HAS_*
  Member non_zero{};
  constexpr bool is_noted() const { return has != 0 && non_zero.kind != Member::Kind::kNone; }
};

struct Field {
  Section section;
  std::string_view name;  // key in JSON; empty: not in JSON
  Member member;
  Wire wire{};
  uint32_t details = KNELL_DETAILS_FULL;  // the lowest level of details that has it
  About about = About::kAnother;
  Known known{};
  Format format = Format::kPlain;
  // Not 0: the field is this bit of `flags`, and has no member
  uint32_t flag = 0;
  int32_t NamespacePids::* number = nullptr;  // for pids: the member with the pid in a namespace
  Section members =
      Section::kProcess;  // for an object (kKilledBy, kLastSignal): the section of its members

  constexpr bool is(Member::Kind kind) const { return member.kind == kind; }
  constexpr bool is_text() const { return is(Member::Kind::kString) && wire.attribute != 0; }
  constexpr bool is_packed() const { return wire.attribute != 0 && !is_text(); }
  constexpr bool in_group() const {
    return section == Section::kKilledBy || section == Section::kLastSignal;
  }
};

// In the order of JSON.
inline constexpr auto kFields = [] {
  using enum Section;
  using enum About;
  using enum Format;
  constexpr uint32_t kAny = KNELL_DETAILS_STATUS, kNames = KNELL_DETAILS_NAMES,
                     kFull = KNELL_DETAILS_FULL;
  constexpr Known kKilled{.has = KNELL_HAS_KILLER}, kAsked{.has = KNELL_HAS_LAST_SIGNAL};
  return std::to_array<Field>({
      // clang-format off
      {kEvery, "type", KNELL_MEMBER(type), {40, 32}, kAny, kEvent, {}, kType},
      {kEvery, "seq", KNELL_MEMBER(seq), {40, 8}, kAny, kEvent},
      {kEvery, "time", KNELL_MEMBER(time_ns), {}, kAny, kEvent, {}, kTime},
      {kEvery, "mono_ns", KNELL_MEMBER(mono_ns), {40, 0}, kAny, kEvent},
      {kEvery, "", KNELL_MEMBER(has), {40, 16}, kAny, kEvent},
      {kEvery, "", KNELL_MEMBER(flags), {40, 36}, kAny, kEvent},

      {kProcess, "id", KNELL_MEMBER(id), {40, 72}, kAny, kSubject, {}, kPlain, 0, &NamespacePids::pid},
      {kProcess, "parent_id", KNELL_MEMBER(parent_id), {40, 96}, kAny, kParent, {}, kPlain, 0, &NamespacePids::ppid},
      {kProcess, "pid", KNELL_MEMBER(pid), {40, 48}, kAny, kSubject, {}, kPlain, 0, &NamespacePids::pid},
      {kProcess, "tid", KNELL_MEMBER(tid), {40, 52}, kAny, kSubject, {}, kPlain, 0, &NamespacePids::tid},
      {kProcess, "ppid", KNELL_MEMBER(ppid), {40, 56}, kAny, kParent, {KNELL_HAS_PPID, KNELL_MEMBER(ppid)}, kPlain, 0, &NamespacePids::ppid},
      {kProcess, "comm", KNELL_MEMBER(comm), {41}, kNames, kSubject},
      {kProcess, "parent_comm", KNELL_MEMBER(parent_comm), {42}, kNames, kParent},
      {kProcess, "exe", KNELL_MEMBER(exe), {43}, kFull, kSubject},
      {kProcess, "args", KNELL_MEMBER(args), {44}, kFull, kSubject, {}, kArgs},
      {kProcess, "args_truncated", KNELL_MEMBER(flags), {}, kFull, kSubject, {.non_zero = KNELL_MEMBER(args)}, kFlag, KNELL_FLAG_ARGS_TRUNCATED},
      {kProcess, "cwd", KNELL_MEMBER(cwd), {45}, kFull, kSubject},
      {kProcess, "uid", KNELL_MEMBER(uid), {40, 60}, kNames, kSubject, {.has = KNELL_HAS_UID}},
      {kProcess, "gid", KNELL_MEMBER(gid), {40, 64}, kNames, kSubject, {.has = KNELL_HAS_GID}},
      {kProcess, "user", KNELL_MEMBER(user), {46}, kNames, kSubject},
      {kProcess, "cgroup", KNELL_MEMBER(cgroup), {47}, kNames, kSubject},
      {kProcess, "unit", KNELL_MEMBER(unit), {48}, kNames, kSubject},
      {kProcess, "container_id", KNELL_MEMBER(container_id), {49}, kNames, kSubject},
      {kProcess, "tty", KNELL_MEMBER(tty), {63}, kNames, kSubject},

      {kExit, "wait_status", KNELL_MEMBER(wait_status), {40, 68}, kAny, kSubject, {.has = KNELL_HAS_STATUS}, kStatus},
      {kExit, "", KNELL_MEMBER(exit_signal), {40, 44}, kAny, kSubject},
      {kExit, "killed_by", KNELL_MEMBER(killed_by), {}, kNames, kSubject, kKilled, kPlain, 0, nullptr, kKilledBy},
      {kKilledBy, "pid", KNELL_MEMBER(killed_by.pid), {52, 0}, kNames, kKiller, {KNELL_HAS_KILLER_PID, KNELL_MEMBER(killed_by.pid)}, kPlain, 0, &NamespacePids::other_pid},
      {kKilledBy, "comm", KNELL_MEMBER(killed_by.comm), {51}, kNames, kKiller},
      {kKilledBy, "uid", KNELL_MEMBER(killed_by.uid), {52, 4}, kNames, kKiller, {KNELL_HAS_KILLER_UID, KNELL_MEMBER(killed_by.pid)}},
      {kKilledBy, "cause", KNELL_MEMBER(killed_by.cause), {52, 8}, kNames, kSubject, {}, kCause},
      {kKilledBy, "parent_pid", KNELL_MEMBER(killed_by.parent_pid), {52, 12, true}, kNames, kKillerParent, {KNELL_HAS_KILLER_PPID, KNELL_MEMBER(killed_by.parent_pid)}, kPlain, 0, &NamespacePids::other_ppid},
      {kKilledBy, "parent_comm", KNELL_MEMBER(killed_by.parent_comm), {57}, kNames, kKillerParent},
      {kKilledBy, "unit", KNELL_MEMBER(killed_by.unit), {58}, kNames, kKiller},
      {kKilledBy, "memory_cgroup", KNELL_MEMBER(killed_by.memory_cgroup), {59}, kNames, kSubject},
      {kExit, "last_signal", KNELL_MEMBER(last_signal), {}, kNames, kSubject, kAsked, kPlain, 0, nullptr, kLastSignal},
      {kLastSignal, "signal", KNELL_MEMBER(last_signal.signal), {60, 8}, kNames, kSubject, {}, kSignal},
      {kLastSignal, "pid", KNELL_MEMBER(last_signal.pid), {60, 12}, kNames, kLastSender, {KNELL_HAS_LAST_SIGNAL_PID, KNELL_MEMBER(last_signal.pid)}, kPlain, 0, &NamespacePids::last_sender_pid},
      {kLastSignal, "comm", KNELL_MEMBER(last_signal.comm), {61}, kNames, kLastSender},
      {kLastSignal, "uid", KNELL_MEMBER(last_signal.uid), {60, 16}, kNames, kLastSender, {KNELL_HAS_LAST_SIGNAL_UID, KNELL_MEMBER(last_signal.pid)}},
      {kLastSignal, "parent_comm", KNELL_MEMBER(last_signal.parent_comm), {62}, kNames, kLastSenderParent},
      {kLastSignal, "ago_ns", KNELL_MEMBER(last_signal.ago_ns), {60, 0}, kNames, kSubject},
      {kExit, "duration_ns", KNELL_MEMBER(duration_ns), {40, 24}, kAny, kSubject, {.has = KNELL_HAS_DURATION}},
      {kExit, "details_lost", KNELL_MEMBER(flags), {}, kNames, kSubject, {}, kFlag, KNELL_FLAG_DETAILS_LOST},

      {kFork, "child_id", KNELL_MEMBER(child_id), {53, 0}, kAny, kChild, {}, kPlain, 0, &NamespacePids::child_pid},
      {kFork, "child_pid", KNELL_MEMBER(child_pid), {53, 24}, kAny, kChild, {}, kPlain, 0, &NamespacePids::child_pid},
      {kFork, "child_tid", KNELL_MEMBER(child_tid), {53, 28}, kAny, kChild, {}, kPlain, 0, &NamespacePids::child_tid},
      {kUid, "ruid", KNELL_MEMBER(ruid), {54, 0}, kAny, kSubject},
      {kUid, "euid", KNELL_MEMBER(euid), {54, 4}, kAny, kSubject},
      {kGid, "rgid", KNELL_MEMBER(rgid), {54, 0}, kAny, kSubject},
      {kGid, "egid", KNELL_MEMBER(egid), {54, 4}, kAny, kSubject},
      {kPtrace, "tracer_pid", KNELL_MEMBER(tracer_pid), {55, 0}, kAny, kTracer, {}, kPlain, 0, &NamespacePids::other_pid},
      {kComm, "new_comm", KNELL_MEMBER(new_comm), {50}, kAny, kSubject},

      {kLost, "via", KNELL_MEMBER(via), {}, kAny, kEvent, {}, kVia},
      {kLost, "count", KNELL_MEMBER(lost_count), {56, 0}, kAny, kEvent, {.has = KNELL_HAS_COUNT}},
      {kLost, "exact", KNELL_MEMBER(flags), {}, kAny, kEvent, {}, kFlag, KNELL_FLAG_EXACT},
      {kLost, "types", KNELL_MEMBER(lost_types), {56, 40}, kAny, kEvent, {}, kTypes},
      {kLost, "from", KNELL_MEMBER(lost_from_time_ns), {56, 24}, kAny, kEvent, {}, kTime},
      {kLost, "until", KNELL_MEMBER(lost_until_time_ns), {56, 32}, kAny, kEvent, {}, kTime},
      {kLost, "cursor", KNELL_MEMBER(cursor), {}, kAny, kEvent},
      {kLost, "redelivered", KNELL_MEMBER(flags), {}, kAny, kEvent, {}, kFlag, KNELL_FLAG_REDELIVERED},
      {kLost, "", KNELL_MEMBER(lost_from_ns), {56, 8}, kAny, kEvent},
      {kLost, "", KNELL_MEMBER(lost_until_ns), {56, 16}, kAny, kEvent},

      {kEnd, "recovered", KNELL_MEMBER(flags), {}, kAny, kEvent, {}, kFlag, KNELL_FLAG_RECOVERED},
      {kEnd, "", KNELL_MEMBER(flags), {}, kAny, kSubject, {}, kFlag, KNELL_FLAG_PRIVILEGES_WITHHELD},
      {kEnd, "", KNELL_MEMBER(flags), {}, kAny, kSubject, {}, kFlag, KNELL_FLAG_NOT_FOLLOWED},
      {kEnd, "via", KNELL_MEMBER(via), {40, 40}, kAny, kEvent, {}, kVia},
      {kEnd, "cursor", KNELL_MEMBER(cursor), {65}, kAny, kEvent},
      {kEnd, "redelivered", KNELL_MEMBER(flags), {}, kAny, kEvent, {}, kFlag, KNELL_FLAG_REDELIVERED},
      // clang-format on
  });
}();

// ----------------------------------------------------------------------------------------------------
// access to the values of an event by row

// A value of the member's C++ type.
template <Member M>
auto member_type() {
  using enum Member::Kind;
  if constexpr (M.kind == kString)
    return knell_string();
  else if constexpr (M.kind == kId)
    return knell_id();
  else if constexpr (M.kind == kGroup)
    return std::array<char, M.size>();
  else if constexpr (M.size == sizeof(uint32_t))
    return std::conditional_t<M.kind == kSigned, int32_t, uint32_t>();
  else
    return std::conditional_t<M.kind == kSigned, int64_t, uint64_t>();
}
template <Member M>
using MemberType = decltype(member_type<M>());
template <Member M>
const MemberType<M>& value_of(const knell_event& event) {
  return *reinterpret_cast<const MemberType<M>*>(reinterpret_cast<const char*>(&event) + M.offset);
}
template <Member M>
MemberType<M>& value_of(knell_event& event) {
  return *reinterpret_cast<MemberType<M>*>(reinterpret_cast<char*>(&event) + M.offset);
}

// Calls `visit` with the index of each row as a constant.
template <const auto& Table, class Visit>
[[gnu::always_inline]] constexpr void for_each_row(Visit visit) {
  [&]<size_t... I>(std::index_sequence<I...>) {
    (visit(std::integral_constant<size_t, I>()), ...);
  }(std::make_index_sequence<Table.size()>());
}

// False: the value is unknown and must not be used.
template <Known K>
bool is_known(const knell_event& event) {
  if constexpr (K.has != 0) return (event.has & K.has) != 0;
  if constexpr (K.non_zero.kind == Member::Kind::kString)
    return value_of<K.non_zero>(event).data != nullptr;
  else if constexpr (K.non_zero.kind != Member::Kind::kNone)
    return value_of<K.non_zero>(event) != 0;
  return true;
}

// Sets the bits of `has` that follow from the values. Called once an event is complete, before it
// is passed to a listener. Until then such numbers are unknown if they are 0, so that code that
// fills, blanks or sends them need not update a bit.
template <const auto& Table>
[[gnu::always_inline]] inline void note_presence(knell_event& event) {
  constexpr uint64_t kNoted = [] {
    uint64_t bits = 0;
    for (const Field& field : Table)
      if (field.known.is_noted()) bits |= field.known.has;
    return bits;
  }();
  constexpr auto kNote = [](knell_event& of, auto in_group) {
    for_each_row<Table>([&](auto row) {
      constexpr const Field& kField = Table[row];
      if constexpr (kField.known.is_noted() && kField.in_group() == in_group)
        if (value_of<kField.known.non_zero>(of) != 0) of.has |= kField.known.has;
    });
  };
  event.has &= ~kNoted;
  kNote(event, std::false_type());
  if ((event.has & (KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL)) != 0) kNote(event, std::true_type());
}

// The rows for which `Select` is true, in an array.
template <const auto& Table, auto Select>
inline constexpr auto kSelected = [] {
  constexpr size_t kCount = [] {
    size_t count = 0;
    for (const Field& field : Table) count += Select(field) ? 1 : 0;
    return count;
  }();
  std::array<Field, kCount> selected{};
  size_t at = 0;
  for (const Field& field : Table)
    if (Select(field)) selected[at++] = field;
  return selected;
}();

}  // namespace knell::event
