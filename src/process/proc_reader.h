// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/children.h"
#include "base/pid_list.h"
#include "base/proc_stat.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "event/namespace_pids.h"

namespace knell::process {

// The meaning of the NULs at the end of args, if there are several.
enum class ArgsEnd : uint8_t {
  kUnknown,
  kArguments,    // empty arguments
  kTitlePadding  // left over where a program wrote a shorter title over its arguments
};

// The program that a process runs: read at its exec, shared with the children that it forks
// afterwards.
struct Image {
  std::string args;  // words, each ended by a NUL byte
  std::string exe;
  std::string cwd;  // at the exec; no event reports a later chdir
  bool has_args = false, args_truncated = false;
  size_t bytes() const { return sizeof(Image) + args.size() + exe.size() + cwd.size(); }
};

// The maximum bytes of args stored for one image; longer args are cut and marked as truncated.
// Chosen, not measured: enough for nearly all java command lines, small enough for a fork bomb with
// long args.
constexpr size_t kArgsBytes = 4096;

struct Ids {
  uint32_t uid = 0, gid = 0;  // real ids
};

// The ids of a process or thread.
struct TaskStatus {
  uint32_t uid = 0;      // real
  uint32_t process = 0;  // the pid of its process
  // Its pids in the pid namespaces, from ours to the innermost; count 0: unknown, or nested deeper
  // than event::kMostLevels.
  std::array<int32_t, event::kMostLevels + 1> numbers{};
  size_t count = 0;
};

// The folder of one process in /proc, held open: after the process is gone every read fails, even
// if its pid is in use again.
class ProcFolder {
 public:
  ProcFolder() = default;
  explicit ProcFolder(UniqueFd dir) : dir_(std::move(dir)) {}
  explicit operator bool() const { return static_cast<bool>(dir_); }

  std::optional<ProcStat> stat() const;
  std::optional<Ids> ids() const;
  std::optional<TaskStatus> task_status() const;
  // A descriptor of its pid namespace; empty: the process is gone, or access is denied (needs
  // CAP_SYS_PTRACE).
  UniqueFd pid_namespace() const;
  // args, exe and cwd; a field that could not be read is empty. The arguments are read first: they
  // are the most useful field, and they disappear first when a process ends.
  Image image() const;
  // The text of /proc/PID/cgroup, held in `buffer`.
  std::string_view cgroup_text(std::string& buffer) const;

 private:
  std::string_view read(const char* name, std::string& buffer, size_t most) const;
  std::string_view status_text(std::span<char> buffer) const;
  std::string link(const char* name) const;
  ArgsEnd args_end(std::string_view args, bool whole) const;
  UniqueFd dir_;
};

// A /proc tree: the real one, or one written by a test. Thread-safe: const methods share no state.
class ProcReader {
 public:
  static Result<ProcReader> open(const char* root = "/proc");
  ProcFolder folder(int32_t pid) const;  // `pid`: of a process or a thread
  // Whether a process or thread is in the reader's own pid namespace. Reads one link: a tenth of
  // the cost of task_status(). False also if the link cannot be read.
  bool is_in_own_pid_namespace(int32_t tid) const;
  bool may_have_children(int32_t pid) const { return knell::may_have_children(root_.get(), pid); }
  PidList list() const;
  // The pids that exist now, unordered.
  std::vector<int32_t> pids() const;

 private:
  explicit ProcReader(UniqueFd root);
  UniqueFd root_;
  std::string ours_;  // the target of the reader's own link ns/pid; empty: unknown
};

// Removes the NUL padding left by programs that rewrite their title. With ArgsEnd::kUnknown, three
// or more NULs after a single word count as padding.
std::string_view without_title_padding(std::string_view args, ArgsEnd end);

// Whether the NULs at the end of `args` are empty arguments or padding. `arg_start`: the address of
// the first byte. `whole`: `args` is not cut at the end. `pointers`: the pointers to the arguments
// after the first, as the kernel put them on the stack, in any order (getopt(3) changes it). If the
// args are still as the kernel laid them out, there are pointers to the second word and to the
// last.
ArgsEnd classify_args_end(std::string_view args, uint64_t arg_start, bool whole,
                          std::span<const uint64_t> pointers);

}  // namespace knell::process
