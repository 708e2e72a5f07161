// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One event of a process with all that its source knew of it at that moment: what a source sends
// that sees whole processes and their details by itself (bpf). event::Raw is the thread-level event
// of a source that does not.
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "event/level.h"

namespace knell::event {

// Who sent a signal, as it was when the signal was sent.
struct Sender {
  uint32_t cause = 0;  // enum knell_cause; 0: unknown, or there is none
  uint32_t signal = 0;
  int32_t pid = 0;  // its process; 0 when it was not a process: then what follows is unknown
  uint32_t uid = 0;
  std::array<char, 16> comm{};  // NUL-padded
  int32_t parent_pid = 0;
  std::array<char, 16> parent_comm{};
  uint64_t cgroup = 0;    // inode of its directory
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC
};

// What the NULs are that args end with, where there is more than one.
enum class ArgsEnd : uint8_t {
  kUnknown,
  kArguments,  // arguments of no bytes
  kPadding     // what a title left over that was written over the arguments
};

// Views live as long as the call that hands the event over.
struct Full {
  uint32_t what = 0;      // one KNELL_EVENT_*
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC. EXIT at process level: when it was over
  // The process it happened to; FORK: the parent (as wait knows it, not who called clone). Below
  // "its" is this process's.
  int32_t pid = 0, tid = 0;
  uint64_t start_boot_ns = 0;  // CLOCK_BOOTTIME; 0: unknown
  int32_t ppid = 0;            // its real parent now; 0: unknown
  uint64_t parent_start_boot_ns = 0;
  bool has_details = false;  // false: what is named below up to `cwd` is unknown
  std::array<char, 16> comm{}, parent_comm{};
  uint32_t uid = 0, gid = 0;  // real
  uint64_t cgroup = 0;        // inode of its directory; 0: unknown
  uint32_t tty = 0;           // its controlling terminal, see event/tty.h; 0: none
  bool has_args = false, args_truncated = false;
  ArgsEnd args_end = ArgsEnd::kUnknown;
  std::string_view args;      // each word with its NUL, as in /proc/PID/cmdline
  std::string_view exe, cwd;  // empty: unknown; as the links in /proc: "PATH (deleted)"
  uint64_t roots = 0;         // a bit for each of Wanted::roots that it is under
  // With Wanted::namespaces: the numbers of who is named here in each pid namespace below the
  // initial one. None, and known: it is in none. Not known: deeper than kMostLevels, or nothing is
  // known of it but that it died.
  std::span<const Level> levels;
  bool levels_known = false;
  // FORK: nobody asked for this one as an event. It is told because its levels will be wanted.
  bool only_birth = false;
  union {
    struct {
      int32_t pid, tid;
      uint64_t start_boot_ns;
      uint32_t uid;  // its own, real; `uid` above is the parent's
    } child;         // FORK
    struct {
      int32_t status;   // wait status
      uint32_t signal;  // that its parent was sent
    } exit;             // EXIT
    char new_comm[16];  // COMM, NUL-padded
    struct {
      uint32_t real, effective;  // after the change
    } id;                        // UID, GID
    struct {
      int32_t tracer_tid, tracer_pid;  // 0: it detached
    } ptrace;                          // PTRACE
  } u{};
  Sender killer;                   // EXIT by a signal
  Sender asker;                    // EXIT: of the last request to end that the process took
  std::string_view memory_cgroup;  // EXIT, out of memory: path; empty: unknown
};

}  // namespace knell::event
