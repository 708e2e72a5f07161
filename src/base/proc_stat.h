// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace knell {

// What we use of /proc/PID/stat.
struct ProcStat {
  std::array<char, 16> comm{};  // field 2, NUL-padded, cut as the kernel's TASK_COMM_LEN
  char state = '?';       // field 3; Z or X: a zombie (perhaps only the leader, see is_dead())
  int32_t ppid = 0;       // field 4
  uint32_t tty = 0;       // field 7: the device number of its controlling terminal; 0: none
  bool exiting = false;   // field 9, PF_EXITING: the leader has begun to exit
  int32_t threads = 0;    // field 20
  uint64_t start = 0;     // field 22: clock ticks since boot, in the initial time namespace
  int32_t exit_code = 0;  // field 52: a wait status, or 0 where the reader may not know it
  // Addresses, fields 28, 48 and 49; 0 where the reader may not know them.
  uint64_t start_stack = 0, arg_start = 0, arg_end = 0;
};

// Parses one line of it. The name in it may hold blanks and brackets; nullopt: not such a line.
std::optional<ProcStat> parse_proc_stat(std::string_view line);

// Reads it; nullopt: no such process. Allocates nothing.
std::optional<ProcStat> read_proc_stat(pid_t pid);

}  // namespace knell
