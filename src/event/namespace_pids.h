// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace knell::event {

// The pids of the processes that an event names, in one pid namespace below the initial one (a
// level). A list of levels goes from the outermost namespace to the innermost one of the event's
// process (FORK: of the child). Other named processes, such as a parent or a killer, may be outside
// the namespace: then their pids are 0.
struct NamespacePids {
  uint32_t ns = 0;  // inode number of the namespace
  // the event's fields of these names, as pids of the namespace
  int32_t pid = 0, tid = 0, ppid = 0;
  int32_t child_pid = 0, child_tid = 0;  // FORK
  int32_t other_pid = 0;                 // EXIT: the killer; PTRACE: the tracer
  int32_t other_ppid = 0;                // EXIT: the killer's parent
  int32_t last_sender_pid = 0;           // EXIT: the sender of the last signal
  int32_t last_sender_ppid = 0;          // EXIT: its parent
  bool operator==(const NamespacePids&) const = default;
};

// The maximum depth of pid namespaces below the initial one. The kernel allows 32; the pids of a
// process in a deeper one are unknown.
inline constexpr size_t kMostLevels = 8;

// The pid of one process or thread in one pid namespace.
struct NamespacePid {
  uint32_t ns = 0;  // inode number
  int32_t nr = 0;
  bool operator==(const NamespacePid&) const = default;
};

}  // namespace knell::event
