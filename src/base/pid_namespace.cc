// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/pid_namespace.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <string>

#include "base/pidfd.h"
#include "base/proc_stat.h"

namespace knell {
namespace {

// linux/nsfs.h and, of Linux 6.11, linux/pidfd.h.
constexpr unsigned long kGetUserns = _IO(0xb7, 0x1);      // NS_GET_USERNS
constexpr unsigned long kGetParent = _IO(0xb7, 0x2);      // NS_GET_PARENT
constexpr unsigned long kGetOwnerUid = _IO(0xb7, 0x4);    // NS_GET_OWNER_UID
constexpr unsigned long kGetPidNamespace = _IO(0xFF, 5);  // PIDFD_GET_PID_NAMESPACE
// MAX_PID_NS_LEVEL namespaces, and the initial one
constexpr size_t kMostNested = 33;

std::string whose(pid_t pid) { return "the pid namespace of process " + std::to_string(pid); }

std::unexpected<Error> gone(pid_t pid) {
  return say(ESRCH, whose(pid) + " cannot be opened: the process has exited");
}

// The error of opening the pid namespace of `pid`, which failed with errno `error`.
std::unexpected<Error> refuse(int error, pid_t pid) {
  if (error == ENOENT || error == ESRCH) return gone(pid);
  if (error == EACCES || error == EPERM) {
    return say(EACCES,
               whose(pid) + " cannot be opened without CAP_SYS_PTRACE or the uid of that process");
  }
  return make_error(error, "open " + whose(pid));
}

Result<uint32_t> inode_of(int fd) {
  struct stat ns{};
  if (::fstat(fd, &ns) != 0) return errno_error("stat a pid namespace");
  return static_cast<uint32_t>(ns.st_ino);  // the kernel's inode numbers of namespaces have 32 bits
}

Result<UniqueFd> open_by_number(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return refuse(errno, pid);
  return fd;
}

}  // namespace

Result<PidNamespace> PidNamespace::adopt(UniqueFd fd) {
  KNELL_ASSIGN(const uint32_t inode, inode_of(fd.get()));
  return PidNamespace(std::move(fd), inode);
}

Result<PidNamespace> PidNamespace::of_pidfd(int pidfd, pid_t pid) {
  UniqueFd direct(::ioctl(pidfd, kGetPidNamespace, 0));
  if (direct) return adopt(std::move(direct));
  // A kernel that does not know the request says EINVAL or ENOTTY.
  if (errno != EINVAL && errno != ENOTTY) return refuse(errno, pid);
  KNELL_ASSIGN(UniqueFd fd, open_by_number(pid));
  // The process is still alive, so the pid was not reused.
  if (is_dead(pidfd)) return gone(pid);
  return adopt(std::move(fd));
}

Result<PidNamespace> PidNamespace::of_process(pid_t pid, uint64_t start) {
  KNELL_ASSIGN(UniqueFd fd, open_by_number(pid));
  if (start != 0) {
    const auto stat = read_proc_stat(pid);
    if (!stat || stat->start != start) return gone(pid);
  }
  return adopt(std::move(fd));
}

Result<PidNamespace> PidNamespace::of_self() {
  UniqueFd fd(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("open the pid namespace of this process");
  return adopt(std::move(fd));
}

bool PidNamespace::is_own() const {
  struct stat own{};
  return ::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == inode_;
}

Result<size_t> PidNamespace::level() const {
  KNELL_ASSIGN(const auto chain, pid_namespaces_from(fd_.get()));
  return chain.size() - 1;
}

Result<uint32_t> PidNamespace::owner_uid() const {
  const UniqueFd user(::ioctl(fd_.get(), kGetUserns, 0));
  if (!user) return errno_error("find the user namespace that owns a pid namespace");
  uid_t uid = 0;
  if (::ioctl(user.get(), kGetOwnerUid, &uid) != 0)
    return errno_error("find the owner of a user namespace");
  return uid;
}

Result<std::vector<uint32_t>> pid_namespaces_from(int ns_fd) {
  std::vector<uint32_t> inodes;
  KNELL_ASSIGN(const PidNamespace own, PidNamespace::of_self());
  UniqueFd above;
  for (int fd = ns_fd; inodes.size() < kMostNested; fd = above.get()) {
    KNELL_ASSIGN(const uint32_t inode, inode_of(fd));
    inodes.push_back(inode);
    if (inode == own.inode()) return inodes;
    UniqueFd next(::ioctl(fd, kGetParent, 0));
    if (!next) return errno_error("find the parent of a pid namespace");
    above = std::move(next);
  }
  return make_error(ELOOP, "find the ancestors of a pid namespace");
}

}  // namespace knell
