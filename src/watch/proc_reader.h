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

#include "base/pid_list.h"
#include "base/proc_stat.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "event/full.h"
#include "event/level.h"

namespace knell::watch {

// What a process runs: read when it exec'ed, shared with the children it forks from then on.
struct Image {
  std::string args;  // words, each ended by a NUL byte
  std::string exe;
  std::string cwd;  // at the exec; a later chdir is told by nobody
  bool has_args = false, args_truncated = false;
  size_t bytes() const { return sizeof(Image) + args.size() + exe.size() + cwd.size(); }
};

// The most bytes of args kept of one image; what is longer is cut and says so. Picked: long enough
// for nearly all java command lines, short enough that a fork bomb of long ones stays small.
constexpr size_t kArgsBytes = 4096;

struct Ids {
  uint32_t uid = 0, gid = 0;  // real ids
};

// Who a process or thread is.
struct Who {
  uint32_t uid = 0;      // real
  uint32_t process = 0;  // its own number, or that of the process it is a thread of
  // Its numbers in the pid namespaces from ours inwards; none: not known, or deeper than
  // event::kMostLevels.
  std::array<int32_t, event::kMostLevels + 1> numbers{};
  size_t count = 0;
};

// One process's folder in /proc, pinned: once that process is gone every read fails, even if its
// pid is in use again.
class ProcFolder {
 public:
  ProcFolder() = default;
  explicit ProcFolder(UniqueFd dir) : dir_(std::move(dir)) {}
  explicit operator bool() const { return static_cast<bool>(dir_); }

  std::optional<ProcStat> stat() const;
  std::optional<Ids> ids() const;
  std::optional<Who> who() const;
  // Its pid namespace; empty: gone, or not ours to see (CAP_SYS_PTRACE).
  UniqueFd pid_namespace() const;
  // args, exe and cwd; what could not be read is empty. The arguments first: they are what people
  // want and what a short-lived process takes with it soonest.
  Image image() const;
  // The text of /proc/PID/cgroup, held in `buffer`.
  std::string_view cgroup_text(std::string& buffer) const;

 private:
  std::string_view read(const char* name, std::string& buffer, size_t most) const;
  std::string link(const char* name) const;
  event::ArgsEnd args_end(std::string_view args, bool whole) const;
  UniqueFd dir_;
};

// A /proc tree: the real one, or one that a test wrote.
class ProcReader {
 public:
  static Result<ProcReader> open(const char* root = "/proc");
  ProcFolder folder(int32_t pid) const;  // or of a thread
  // Whether a process or thread is in the pid namespace that the reader is in, by a look at a link:
  // a tenth of the cost of who(). False too where that cannot be seen.
  bool is_in_ours(int32_t tid) const;
  PidList list() const;
  // The pids there now, unordered.
  std::vector<int32_t> pids() const;

 private:
  explicit ProcReader(UniqueFd root);
  UniqueFd root_;
  std::string ours_;  // what the link ns/pid says; empty: unknown
};

// Drops the padding that programs leave which rewrite their title. Where it is not known whether
// that is what the NULs at the end are: three and more of them behind a single word.
std::string_view without_title_padding(std::string_view args, event::ArgsEnd end);

// What the NULs at the end of `args` are; `arg_start`: the address of the first byte, `whole`: none
// is missing at the end. `pointers`: to the arguments behind the first, as the kernel left them on
// the stack, in any order (getopt(3) changes it). Where the kernel laid out what is there now, they
// still lead to the second word, and to the last.
event::ArgsEnd judge_args_end(std::string_view args, uint64_t arg_start, bool whole,
                              std::span<const uint64_t> pointers);

}  // namespace knell::watch
