// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/translate.h"

#include <algorithm>

#include "event/fields.h"

namespace knell::watch {
namespace {

using Field = int32_t event::NamespacePids::*;

int32_t number_in(const TaskIds::Numbers& numbers, uint32_t ns) {
  const auto at = std::ranges::find(numbers.of, ns, &event::NamespacePid::ns);
  return at == numbers.of.end() ? 0 : at->nr;
}

// Fills in the number of `pid` at each level.
void fill(Levels& levels, Field field, int32_t pid, const knell_event& event, TaskIds& identities) {
  if (pid <= 0) return;
  const TaskIds::Numbers numbers = identities.numbers_of(pid, event.mono_ns);
  for (event::NamespacePids& level : std::span(levels.at).first(levels.count))
    level.*field = number_in(numbers, level.ns);
}

// Adds a level for each namespace of `subject`; false: it has none, or they are unknown.
bool begin(Levels& levels, int32_t subject, const knell_event& event, TaskIds& identities) {
  const TaskIds::Numbers numbers = identities.numbers_of(subject, event.mono_ns);
  levels.known = numbers.known;
  for (const event::NamespacePid& number : numbers.of) levels.at[levels.count++].ns = number.ns;
  return levels.count > 0;
}

// Replaces a pid by its number in a namespace.
class Translator {
 public:
  Translator(uint32_t ns, uint64_t stamp_ns, TaskIds& identities)
      : ns_(ns), stamp_ns_(stamp_ns), task_ids_(identities) {}
  void operator()(int32_t& pid) const {
    if (pid != 0) pid = number_in(task_ids_.numbers_of(pid, stamp_ns_), ns_);
  }

 private:
  uint32_t ns_;
  uint64_t stamp_ns_;
  TaskIds& task_ids_;
};

}  // namespace

Levels levels_of(const knell_event& event, TaskIds& identities) {
  Levels levels;
  if (event.type == KNELL_EVENT_LOST) return levels;
  const bool fork = event.type == KNELL_EVENT_FORK;
  if (!begin(levels, fork ? event.child_pid : event.pid, event, identities)) return levels;
  event::for_each_row<event::kFields>([&](auto row) {
    constexpr const event::Field& kField = event::kFields[row];
    if constexpr (kField.number != nullptr && kField.is(event::Member::Kind::kSigned))
      fill(levels, kField.number, event::value_of<kField.member>(event), event, identities);
  });
  return levels;
}

std::optional<event::Raw> translate(const event::Raw& raw, uint32_t ns, TaskIds& identities) {
  if (raw.what == KNELL_EVENT_NONE) return std::nullopt;
  event::Raw seen = raw;
  if (raw.what == KNELL_EVENT_LOST) return seen;
  const Translator translate_pid(ns, raw.stamp_ns, identities);
  translate_pid(seen.tid);
  translate_pid(seen.pid);
  if (seen.tid == 0 || seen.pid == 0) return std::nullopt;
  switch (raw.what) {
    case KNELL_EVENT_FORK:
      translate_pid(seen.u.fork.parent_tid);
      translate_pid(seen.u.fork.parent_pid);
      break;
    case KNELL_EVENT_PTRACE:
      translate_pid(seen.u.ptrace.tracer_tid);
      translate_pid(seen.u.ptrace.tracer_pid);
      break;
    case KNELL_EVENT_COREDUMP:
      translate_pid(seen.u.coredump.parent_tid);
      translate_pid(seen.u.coredump.parent_pid);
      break;
    case KNELL_EVENT_EXIT:
      translate_pid(seen.u.exit.parent_tid);
      translate_pid(seen.u.exit.parent_pid);
      break;
    default:
      break;
  }
  return seen;
}

}  // namespace knell::watch
