// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace knell::source {

// The sender of a signal, at the time of sending.
struct Sender {
  uint32_t cause = 0;  // enum knell_cause; 0: unknown, or there is none
  uint32_t signal = 0;
  int32_t pid = 0;  // the sending process; 0: not a process, and the fields below are unknown
  uint32_t uid = 0;
  std::array<char, 16> comm{};  // NUL-padded
  int32_t parent_pid = 0;
  std::array<char, 16> parent_comm{};
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC
};

// Why a process is no longer traced although it lives.
enum class Released : uint8_t {
  kNo,
  kTracesItself,  // its program uses ptrace(2): a debugger, strace, a program with LeakSanitizer
  kTracerEnded    // Tracer::release()
};

// The part of TracedEvent that is copied as bytes. A member that is not known is 0 or empty.
struct TracedFacts {
  enum class Type : uint8_t {
    kFork,      // pid: the parent as in wait(2), not the caller of clone(2)
    kExec,      //
    kExit,      // one for each process, after its parent was notified
    kReleased,  // this process, and what it forks from now on, is no longer traced
    kLost       // events were dropped here because the queue was full
  };
  Type type = Type::kLost;
  // kReleased: why. An exec after which the process is released has it, too.
  Released released = Released::kNo;

  uint64_t stamp_ns = 0;     // CLOCK_MONOTONIC, when the tracer saw it
  int32_t pid = 0, tid = 0;  // pid 0: the parent of the new process is not known
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  int32_t ppid = 0;          // its real parent at birth
  uint64_t parent_start_ticks = 0;

  // Of the process `pid`, read while it was stopped or a zombie.
  bool has_comm = false, has_parent_comm = false, has_ids = false, has_tty = false;
  std::array<char, 16> comm{}, parent_comm{};
  uint32_t uid = 0, gid = 0;  // real
  uint32_t tty = 0;           // as in /proc/PID/stat; 0: none
  bool has_args = false, args_truncated = false;
  // EXEC: the program is set-user-ID or set-group-ID or has file capabilities, and the kernel
  // started it without them, as it does below a tracer without privileges.
  bool privileges_withheld = false;

  int32_t child_pid = 0;  // FORK
  uint64_t child_start_ticks = 0;
  bool has_child_uid = false;
  uint32_t child_uid = 0;

  int32_t wait_status = 0;   // EXIT: as wait(2) reports it to the parent
  uint32_t exit_signal = 0;  // EXIT: the signal that its parent got; 0: none, or not known
  Sender killer;             // EXIT by a signal; cause 0: not known
  Sender last_sender;        // EXIT: the last request to end that the process handled; signal 0:
                             // none known

  uint64_t lost_forks = 0, lost_execs = 0, lost_exits = 0, lost_releases = 0;  // LOST
};
static_assert(std::is_trivially_copyable_v<TracedFacts>);

// What the tracer saw. The views are valid until the next event is handed out.
struct TracedEvent : TracedFacts {
  std::string_view args;      // each word with its NUL
  std::string_view exe, cwd;  // as the links in /proc; at the exec
  std::string_view cgroup;    // the text of /proc/PID/cgroup
};

}  // namespace knell::source
