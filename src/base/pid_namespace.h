// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell {

inline constexpr uint32_t kInitialPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO, linux/proc_ns.h

// A pid namespace, pinned: the kernel gives the inode number of one that is gone to the next one at
// once, but not while somebody holds a descriptor of it. So what is compared with inode() means
// this namespace for as long as the object lives. Move-only.
class PidNamespace {
 public:
  // That which the process of `pidfd` is in; `pid` is its number here. Before Linux 6.11 it is
  // opened by that number, and the descriptor asked afterwards whether the process is still there.
  // Errors: ESRCH the process is gone; EACCES it is not ours to look at (another user's, without
  // CAP_SYS_PTRACE).
  static Result<PidNamespace> of_pidfd(int pidfd, pid_t pid);
  // That of a process known by its number and start (clock ticks since boot) alone. A start of 0
  // takes whoever has the number. Errors: as above; ESRCH too when another process has it.
  static Result<PidNamespace> of_process(pid_t pid, uint64_t start);
  // Our own.
  static Result<PidNamespace> ours();

  uint32_t inode() const { return inode_; }
  int fd() const { return fd_.get(); }
  bool is_initial() const { return inode_ == kInitialPidNamespace; }
  // Whether the caller is in it too: then pids mean the same on both sides.
  bool is_ours() const;
  // How many namespaces it is below ours, which is 0; in the initial one this is the kernel's
  // level. Errors: EPERM it is no descendant of ours.
  Result<size_t> level() const;
  // Whose the user namespace is that it belongs to: the uid, as we see it, of who made that.
  // 65534 for one who has no number here. Errors: EPERM it is no descendant of ours.
  Result<uint32_t> owner_uid() const;

 private:
  PidNamespace(UniqueFd fd, uint32_t inode) : fd_(std::move(fd)), inode_(inode) {}
  static Result<PidNamespace> adopt(UniqueFd fd);

  UniqueFd fd_;
  uint32_t inode_;
};

// The inode numbers of a namespace and of those around it, the innermost first; ours ends it. All
// are held while this one is. Errors: EPERM it is no descendant of ours; ENOTTY no namespace.
Result<std::vector<uint32_t>> pid_namespaces_from(int ns_fd);

}  // namespace knell
