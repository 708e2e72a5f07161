// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/translate.h"

#include <initializer_list>

namespace knell::event {
namespace {

constexpr knell_string kUnknown{nullptr, 0};

// All that is told of the process it happened to.
void blank_subject(knell_event& event) {
  event.id = {};
  event.tid = 0;
  event.has &= ~(KNELL_HAS_UID | KNELL_HAS_GID | KNELL_HAS_DURATION);
  event.uid = event.gid = 0;
  event.duration_ns = 0;
  event.flags &= ~KNELL_FLAG_ARGS_TRUNCATED;
  for (knell_string* const text :
       {&event.comm, &event.exe, &event.args, &event.cwd, &event.user, &event.cgroup, &event.unit,
        &event.container_id, &event.killed_by.memory_cgroup})
    *text = kUnknown;
}

// Who is not in the namespace is unknown there; what was done and why is not.
void translate_senders(knell_event& event, const Level& level) {
  auto& killer = event.killed_by;
  killer.pid = level.other_pid;
  killer.parent_pid = level.other_ppid;
  if (killer.parent_pid == 0) killer.parent_comm = kUnknown;
  if (killer.pid == 0) hide_killer(event);
  auto& asker = event.last_signal;
  asker.pid = level.asker_pid;
  if (level.asker_ppid == 0) asker.parent_comm = kUnknown;
  if (asker.pid == 0) asker.uid = 0, asker.comm = asker.parent_comm = kUnknown;
}

}  // namespace

void hide_killer(knell_event& event) {
  auto& killer = event.killed_by;
  killer.pid = killer.parent_pid = 0;
  killer.uid = 0;
  killer.comm = killer.parent_comm = killer.unit = kUnknown;
}

knell_event translate(const knell_event& from, const Level& level) {
  knell_event event = from;
  event.pid = event.id.pid = level.pid;
  event.tid = level.tid;
  event.ppid = event.parent_id.pid = level.ppid;
  if (level.pid == 0) blank_subject(event);
  if (level.ppid == 0) {
    event.parent_id = {};
    event.parent_comm = kUnknown;
  }
  event.child_pid = event.child_id.pid = level.child_pid;
  event.child_tid = level.child_tid;
  if (event.type == KNELL_EVENT_PTRACE) event.tracer_pid = level.other_pid;
  translate_senders(event, level);
  return event;
}

}  // namespace knell::event
