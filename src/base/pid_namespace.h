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

// A pid namespace, pinned by a descriptor. The kernel reuses the inode number of a namespace that
// has ended at once, but not while a descriptor of it is open. So inode() identifies this namespace
// as long as the object exists. Move-only.
class PidNamespace {
 public:
  // The namespace of the process of `pidfd`; `pid` is its pid in the pid namespace of this process.
  // Before Linux 6.11 the namespace is opened by that pid, and the pidfd then shows whether the
  // process still exists.
  // Errors: ESRCH the process has exited; EACCES no permission to open it (a process of another
  // user, without CAP_SYS_PTRACE).
  static Result<PidNamespace> of_pidfd(int pidfd, pid_t pid);
  // The namespace of a process known only by its pid and start (clock ticks since boot). A start of
  // 0 accepts any process with the pid. Errors: as above; ESRCH also when another process has the
  // pid.
  static Result<PidNamespace> of_process(pid_t pid, uint64_t start);
  // The namespace of this process.
  static Result<PidNamespace> of_self();

  uint32_t inode() const { return inode_; }
  int fd() const { return fd_.get(); }
  bool is_initial() const { return inode_ == kInitialPidNamespace; }
  // Whether this process is in it: then a pid means the same process in both.
  bool is_own() const;
  // How many levels it is below the pid namespace of this process, which has level 0; in the
  // initial namespace this is the kernel's level. Errors: EPERM it is not a descendant of that
  // namespace.
  Result<size_t> level() const;
  // The owner of its user namespace: the uid of the user who created it, as mapped in the user
  // namespace of this process; 65534 for a user without a uid there. Errors: EPERM the pid
  // namespace is not a descendant of that of this process.
  Result<uint32_t> owner_uid() const;

 private:
  PidNamespace(UniqueFd fd, uint32_t inode) : fd_(std::move(fd)), inode_(inode) {}
  static Result<PidNamespace> adopt(UniqueFd fd);

  UniqueFd fd_;
  uint32_t inode_;
};

// The inode numbers of a pid namespace and its ancestors, innermost first, up to that of this
// process. All stay valid while `ns_fd` is open. Errors: EPERM it is not a descendant of the pid
// namespace of this process; ENOTTY not a namespace.
Result<std::vector<uint32_t>> pid_namespaces_from(int ns_fd);

}  // namespace knell
