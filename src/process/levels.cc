// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/levels.h"

#include <algorithm>

#include "event/fields.h"

namespace knell::process {
namespace {

using Field = int32_t event::NamespacePids::*;

int32_t number_in(const ProcessTable::Numbers& numbers, uint32_t ns) {
  const auto at = std::ranges::find(numbers.of, ns, &event::NamespacePid::ns);
  return at == numbers.of.end() ? 0 : at->nr;
}

// Fills in, at each level, the pid that process `pid` has in that namespace.
void fill(Levels& levels, Field field, int32_t pid, uint64_t stamp_ns, ProcessTable& table) {
  if (pid <= 0) return;
  const ProcessTable::Numbers numbers = table.numbers_of(pid, stamp_ns);
  for (event::NamespacePids& level : std::span(levels.at).first(levels.count))
    level.*field = number_in(numbers, level.ns);
}

// Adds a level for each namespace of `subject`; false: `subject` is in no such namespace, or its
// namespaces are unknown.
bool begin(Levels& levels, int32_t subject, uint64_t stamp_ns, ProcessTable& table) {
  const ProcessTable::Numbers numbers = table.numbers_of(subject, stamp_ns);
  levels.known = numbers.known;
  for (const event::NamespacePid& number : numbers.of) levels.at[levels.count++].ns = number.ns;
  return levels.count > 0;
}

}  // namespace

Levels levels_of(const knell_event& event, ProcessTable& table) {
  Levels levels;
  if (event.type == KNELL_EVENT_LOST) return levels;
  const bool fork = event.type == KNELL_EVENT_FORK;
  if (!begin(levels, fork ? event.child_pid : event.pid, event.mono_ns, table)) return levels;
  event::for_each_row<event::kFields>([&](auto row) {
    constexpr const event::Field& kField = event::kFields[row];
    if constexpr (kField.number != nullptr && kField.is(event::Member::Kind::kSigned))
      fill(levels, kField.number, event::value_of<kField.member>(event), event.mono_ns, table);
  });
  return levels;
}

Levels levels_of(const event::Raw& raw, ProcessTable& table) {
  Levels levels;
  if (raw.what == KNELL_EVENT_LOST || !begin(levels, raw.tid, raw.stamp_ns, table)) return levels;
  event::Raw names = raw;
  const event::OtherPids other = event::other_pids_of(names);
  fill(levels, &event::NamespacePids::pid, raw.pid, raw.stamp_ns, table);
  fill(levels, &event::NamespacePids::tid, raw.tid, raw.stamp_ns, table);
  if (other.pid == nullptr) return levels;
  fill(levels, &event::NamespacePids::other_pid, *other.pid, raw.stamp_ns, table);
  fill(levels, &event::NamespacePids::other_ppid, *other.tid, raw.stamp_ns, table);
  return levels;
}

}  // namespace knell::process
