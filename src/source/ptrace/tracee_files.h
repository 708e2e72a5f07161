// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace knell::source {

// The files of /proc for a thread that is stopped or a zombie, so that none of them changes or
// disappears between two reads. A file that cannot be read gives nullopt, or an empty text.

// /proc/TID/status. Masks of signals: bit N-1 is signal N.
struct TraceeStatus {
  int32_t tgid = 0;
  uint32_t uid = 0, euid = 0, gid = 0, egid = 0;
  uint64_t caught = 0, ignored = 0;
  uint64_t permitted = 0, bounding = 0;  // capabilities
  bool no_new_privileges = false;
  // In a pid namespace below that of /proc: its number there; else 0.
  int32_t nested_pid = 0;
};
std::optional<TraceeStatus> parse_tracee_status(std::string_view text);
std::optional<TraceeStatus> read_tracee_status(pid_t tid);

// Whether the thread is in the user namespace of the caller. False: also if that cannot be read.
bool in_own_user_namespace(pid_t tid);

// The number of the system call that the stopped thread is in; -1: in none, as after a fault.
std::optional<long> read_tracee_system_call(pid_t tid);

// /proc/PID/NAME, at most `most` bytes.
std::string read_tracee_file(pid_t pid, const char* name, size_t most);
// The target of the link /proc/PID/NAME.
std::string read_tracee_link(pid_t pid, const char* name);

// What matters to a tracer in the file of a program.
struct Program {
  bool traces = false;  // it may use ptrace(2), also on itself
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;
  uint64_t capabilities = 0;    // that the file grants
  bool without_set_id = false;  // on a file system mounted nosuid
};

// Whether the kernel started this program without privileges that its file grants, although only
// the tracer was in the way.
bool privileges_withheld(const Program& program, const TraceeStatus& after);

// Programs by their files, so that a program that is executed often is read once.
class ProgramCache {
 public:
  // The program that `pid` runs; nullopt: its file cannot be read.
  const Program* of(pid_t pid);
  size_t size() const { return programs_.size(); }

 private:
  static constexpr size_t kMost = 1024;                    // chosen, not measured: about 64 KiB
  using Key = std::tuple<dev_t, ino_t, int64_t, int64_t>;  // device, inode, time of change
  std::map<Key, Program> programs_;
};

}  // namespace knell::source
