// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One event of a process with all that its source knew of the process at that time: the form of a
// source that sees whole processes and their details itself (bpf). event::Raw is the thread-level
// event of other sources. Such a source also reports changes of cgroups.
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "event/namespace_pids.h"

namespace knell::event {

// The sender of a signal, at the time of sending.
struct Sender {
  uint32_t cause = 0;  // enum knell_cause; 0: unknown, or there is none
  uint32_t signal = 0;
  int32_t pid = 0;  // the sending process; 0: not a process, and the fields below are unknown
  uint32_t uid = 0;
  std::array<char, 16> comm{};  // NUL-padded
  int32_t parent_pid = 0;
  std::array<char, 16> parent_comm{};
  uint64_t cgroup = 0;    // inode of its directory
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC
};

// What the NULs at the end of args are, if there is more than one.
enum class ArgsEnd : uint8_t {
  kUnknown,
  kArguments,    // empty arguments
  kTitlePadding  // left over where a program wrote a shorter title over its arguments
};

// The views are valid during the call that passes the event.
struct Full {
  uint32_t what = 0;      // one KNELL_EVENT_*
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC. EXIT at process level: the end of the process
  // The process that the event is about; FORK: the parent (as in wait(2), not the caller of
  // clone(2)). "Its" below refers to this process.
  int32_t pid = 0, tid = 0;
  uint64_t start_boot_ns = 0;  // CLOCK_BOOTTIME; 0: unknown
  int32_t ppid = 0;            // its real parent now; 0: unknown
  uint64_t parent_start_boot_ns = 0;
  bool has_details = false;  // false: the fields below up to `cwd` are unknown
  std::array<char, 16> comm{}, parent_comm{};
  uint32_t uid = 0, gid = 0;  // real
  uint64_t cgroup = 0;        // inode of its directory; 0: unknown
  uint32_t tty = 0;           // its controlling terminal, see event/tty.h; 0: none
  bool has_args = false, args_truncated = false;
  ArgsEnd args_end = ArgsEnd::kUnknown;
  std::string_view args;      // each word with its NUL, as in /proc/PID/cmdline
  std::string_view exe, cwd;  // empty: unknown; as the links in /proc: "PATH (deleted)"
  uint64_t roots = 0;         // a bit for each of SourceRequest::roots that it is under
  // With SourceRequest::namespaces: the numbers of the processes named here in each pid namespace
  // below the initial one. Empty and levels_known: it is in none. Not levels_known: deeper than
  // kMostLevels, or only its death is known.
  std::span<const NamespacePids> levels;
  bool levels_known = false;
  // FORK: no listener asked for this event. It is reported only for its levels.
  bool for_levels_only = false;
  union {
    struct {
      int32_t pid, tid;
      uint64_t start_boot_ns;
      uint32_t uid;  // its own, real; `uid` above is the parent's
    } child;         // FORK
    struct {
      int32_t status;   // wait status
      uint32_t signal;  // sent to its parent
    } exit;             // EXIT
    char new_comm[16];  // COMM, NUL-padded
    struct {
      uint32_t real, effective;  // after the change
    } id;                        // UID, GID
    struct {
      int32_t tracer_tid, tracer_pid;  // 0: it detached
    } ptrace;                          // PTRACE
  } u{};
  Sender killer;       // EXIT by a signal
  Sender last_sender;  // EXIT: the sender of the last request to end that the process took
  std::string_view memory_cgroup;  // EXIT, out of memory: path; empty: unknown
};

// A cgroup was created, or it and all cgroups below it have another path from now on.
struct CgroupChange {
  uint64_t inode = 0;     // inode number of its directory
  std::string_view path;  // from the root of its hierarchy
  uint64_t parent = 0;    // not 0: `path` is only a name below the cgroup with this inode
  bool renamed = false;
};

}  // namespace knell::event
