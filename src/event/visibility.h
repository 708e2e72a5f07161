// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Removes from an event the fields that a listener may not see or did not request, before the event
// is encoded for it. Only the table of fields decides what is removed.
#pragma once

#include <knell/knell.h>

#include <cstdint>

#include "event/fields.h"
#include "event/namespace_pids.h"

namespace knell::event {

// Makes the fields unknown for which `Select` is true.
template <const auto& Table, auto Select>
void blank(knell_event& event) {
  for_each_row<Table>([&](auto row) {
    constexpr const Field& kField = Table[row];
    if constexpr (Select(kField)) {
      event.has &= ~kField.known.has;
      if constexpr (kField.flag != 0)
        event.flags &= ~kField.flag;
      else
        value_of<kField.member>(event) = {};
    }
  });
}

template <const auto& Table, About Who>
void blank_about(knell_event& event) {
  blank<Table, [](const Field& field) { return field.about == Who; }>(event);
}

// Removes the fields that events with `details` (enum knell_details) do not have.
template <const auto& Table = kFields>
void limit_details(knell_event& event, uint32_t details) {
  if (details == KNELL_DETAILS_FULL) return;
  blank<Table, [](const Field& field) { return field.details < KNELL_DETAILS_NAMES; }>(event);
  if (details == KNELL_DETAILS_NAMES) return;
  blank<Table, [](const Field& field) { return field.details < KNELL_DETAILS_STATUS; }>(event);
}

// Whether the event has the fields of the section. KNELL_EVENT_NONE is a process of a snapshot: it
// has those of every event of a process.
constexpr bool has_section(const knell_event& event, Section section) {
  using enum Section;
  if (event.type != KNELL_EVENT_NONE) return (event.type & types_of(section)) != 0;
  return section == kEvery || section == kProcess || section == kEnd;
}

// The event as it is reported inside a pid namespace: its pids are those of `level`, and the fields
// of processes outside the namespace are unknown. Only for events whose subject (fork: the child)
// is inside.
template <const auto& Table = kFields>
void translate_in_place(knell_event& event, const NamespacePids& level) {
  for_each_row<Table>([&](auto row) {
    constexpr const Field& kField = Table[row];
    if constexpr (kField.number != nullptr) {
      if (!has_section(event, kField.section)) return;
      auto& value = value_of<kField.member>(event);
      if constexpr (kField.is(Member::Kind::kId))
        value.pid = level.*kField.number;
      else
        value = level.*kField.number;
    }
  });
  using enum About;
  if (level.pid == 0) blank_about<Table, kSubject>(event);
  if (level.ppid == 0) blank_about<Table, kParent>(event);
  if (level.child_pid == 0) blank_about<Table, kChild>(event);
  if (level.other_pid == 0) blank_about<Table, kKiller>(event), blank_about<Table, kTracer>(event);
  if (level.other_pid == 0 || level.other_ppid == 0) blank_about<Table, kKillerParent>(event);
  if (level.last_sender_pid == 0) blank_about<Table, kLastSender>(event);
  if (level.last_sender_pid == 0 || level.last_sender_ppid == 0)
    blank_about<Table, kLastSenderParent>(event);
  blank_about<Table, kAnother>(event);
}
inline knell_event translate(const knell_event& from, const NamespacePids& level) {
  knell_event event = from;
  translate_in_place(event, level);
  return event;
}

// What must be hidden from a listener that may see only the processes of one user, in an event of
// such a process.
enum Hidden : uint32_t {
  kHiddenKiller = 1,      // the killer is a process of another user, or may be one
  kHiddenLastSignal = 2,  // the last signal was sent by another user
  kHiddenOthers = 4       // the table has fields about other processes
};
template <const auto& Table = kFields>
uint32_t hidden_from_user(const knell_event& event, uint32_t uid) {
  constexpr bool kHasOthers =
      !kSelected<Table, [](const Field& field) { return field.about == About::kAnother; }>.empty();
  uint32_t hidden = 0;
  if (kHasOthers) hidden |= kHiddenOthers;
  const auto& killer = event.killed_by;
  if ((event.has & KNELL_HAS_KILLER) != 0 && killer.uid != uid &&
      (killer.cause == KNELL_CAUSE_USER || killer.pid != 0))
    hidden |= kHiddenKiller;
  if ((event.has & KNELL_HAS_LAST_SIGNAL) != 0 && event.last_signal.uid != uid)
    hidden |= kHiddenLastSignal;
  return hidden;
}

// Removes what hidden_from_user() returned. A kill by a process of another user is not shown at
// all; a kill by the kernel is shown without the process that caused it.
template <const auto& Table = kFields>
void hide(knell_event& event, uint32_t hidden) {
  if ((hidden & kHiddenKiller) != 0 && event.killed_by.cause != KNELL_CAUSE_USER) {
    blank_about<Table, About::kKiller>(event);
    blank_about<Table, About::kKillerParent>(event);
  } else if ((hidden & kHiddenKiller) != 0) {
    blank<Table, [](const Field& field) { return field.members == Section::kKilledBy; }>(event);
  }
  if ((hidden & kHiddenLastSignal) != 0)
    blank<Table, [](const Field& field) { return field.members == Section::kLastSignal; }>(event);
  if ((hidden & kHiddenOthers) != 0) blank_about<Table, About::kAnother>(event);
}

}  // namespace knell::event
