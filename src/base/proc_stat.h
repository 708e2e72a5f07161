// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace knell {

// The fields of /proc/PID/stat that are used.
struct ProcStat {
  std::array<char, 16> comm{};  // field 2, NUL-padded, TASK_COMM_LEN bytes as in the kernel
  char state = '?';         // field 3; Z or X: a zombie (perhaps only the leader, see is_dead())
  int32_t ppid = 0;         // field 4
  uint32_t tty = 0;         // field 7: the device number of its controlling terminal; 0: none
  bool exiting = false;     // field 9, PF_EXITING: the leader has begun to exit
  bool executed = false;    // field 9, PF_FORKNOEXEC is not set: it has called exec since its fork
  int32_t threads = 0;      // field 20
  uint64_t start = 0;       // field 22: clock ticks since boot, in the initial time namespace
  int32_t exit_signal = 0;  // field 38: what its parent gets when it ends; 0: none
  int32_t exit_code = 0;    // field 52: a wait status; 0 without permission to read it
  // Fields 28, 48 and 49, addresses; 0 without permission to read them.
  uint64_t start_stack = 0, arg_start = 0, arg_end = 0;
};

// Parses the line of that file. The name in it may have blanks and brackets. nullopt: malformed.
std::optional<ProcStat> parse_proc_stat(std::string_view line);

// Reads /proc/PID/stat; nullopt: no such process. Allocates nothing.
std::optional<ProcStat> read_proc_stat(pid_t pid);

}  // namespace knell
