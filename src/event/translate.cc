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
  for (knell_string* const text : {&event.comm, &event.exe, &event.args, &event.cwd, &event.user,
                                   &event.cgroup, &event.unit, &event.container_id})
    *text = kUnknown;
}

}  // namespace

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
  if (event.killed_by.cause != KNELL_CAUSE_USER) return event;
  event.killed_by.pid = level.other_pid;
  if (level.other_pid != 0) return event;
  event.has &= ~KNELL_HAS_KILLER;
  event.killed_by = {};
  return event;
}

}  // namespace knell::event
