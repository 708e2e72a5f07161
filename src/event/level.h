// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace knell::event {

// The numbers of the processes an event names in one pid namespace below the initial one. Plain
// data.
struct Level {
  uint32_t ns = 0;  // inode number of the namespace
  // As the fields of the event of the same names, in that namespace; 0: not in it. FORK: the levels
  // are the child's, and pid may be 0.
  int32_t pid = 0, tid = 0, ppid = 0;
  int32_t child_pid = 0, child_tid = 0;  // FORK
  int32_t other_pid = 0;                 // EXIT: the killer
};

inline constexpr size_t kMostLevels = 8;  // namespaces inside one another; deeper ones: not known

}  // namespace knell::event
