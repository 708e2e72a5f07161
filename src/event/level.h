// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace knell::event {

// The numbers of the processes an event names in one pid namespace below the initial one. A list of
// them goes from the outermost namespace to the innermost that the process itself is in; for FORK,
// that the child is in. The others named, a parent or a killer, need not be in it: then they are 0.
struct Level {
  uint32_t ns = 0;                       // inode number of the namespace
  int32_t pid = 0, tid = 0, ppid = 0;    // as the event's fields, in it
  int32_t child_pid = 0, child_tid = 0;  // FORK
  int32_t other_pid = 0;                 // EXIT: the killer; PTRACE: the tracer
  int32_t other_ppid = 0;                // EXIT: the killer's parent
  int32_t asker_pid = 0;                 // EXIT: the sender of the last signal
  int32_t asker_ppid = 0;                // EXIT: its parent
  bool operator==(const Level&) const = default;
};

// Of namespaces in each other below the initial one. The kernel allows 32; the numbers of a process
// that is deeper than this are not known.
inline constexpr size_t kMostLevels = 8;

// What one process or thread is called in one pid namespace.
struct Number {
  uint32_t ns = 0;  // inode number
  int32_t nr = 0;
  bool operator==(const Number&) const = default;
};

}  // namespace knell::event
