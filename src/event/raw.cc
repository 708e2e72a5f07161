// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/raw.h"

namespace knell::event {

OtherPids other_pids_of(Raw& raw) {
  switch (raw.what) {
    case KNELL_EVENT_FORK:
      return {.pid = &raw.u.fork.parent_pid, .tid = &raw.u.fork.parent_tid};
    case KNELL_EVENT_PTRACE:
      return {.pid = &raw.u.ptrace.tracer_pid, .tid = &raw.u.ptrace.tracer_tid};
    case KNELL_EVENT_COREDUMP:
      return {.pid = &raw.u.coredump.parent_pid, .tid = &raw.u.coredump.parent_tid};
    case KNELL_EVENT_EXIT:
      return {.pid = &raw.u.exit.parent_pid, .tid = &raw.u.exit.parent_tid};
    default:
      return {};
  }
}

Raw translate(const Raw& raw, const NamespacePids& level) {
  Raw seen = raw;
  seen.pid = level.pid;
  seen.tid = level.tid;
  const OtherPids other = other_pids_of(seen);
  if (other.pid == nullptr) return seen;
  *other.pid = level.other_pid;
  *other.tid = level.other_ppid;
  return seen;
}

}  // namespace knell::event
