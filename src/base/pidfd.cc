// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/pidfd.h"

#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/proc_stat.h"

namespace knell {
namespace {

constexpr idtype_t kIdPidfd = static_cast<idtype_t>(3);  // P_PIDFD, linux/wait.h

// struct pidfd_info of linux/pidfd.h as it was first released: every later kernel takes this size.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroup_id;
  uint32_t pid, tgid, ppid;
  uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr uint64_t kInfoExit = 1U << 3;                         // PIDFD_INFO_EXIT
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);  // PIDFD_GET_INFO

short poll_now(int pidfd) {
  pollfd p{pidfd, POLLIN, 0};
  if (::poll(&p, 1, 0) != 1) return 0;
  return p.revents;
}

int32_t wait_status(const siginfo_t& info) {
  switch (info.si_code) {
    case CLD_EXITED:
      return (info.si_status & 0xff) << 8;
    case CLD_DUMPED:
      return (info.si_status & 0x7f) | 0x80;
    default:
      return info.si_status & 0x7f;
  }
}

// The kernel makes the same permission check for field 52 and for the link /proc/PID/exe, and the
// link shows the result: a zombie has no program, so a reader with permission gets ENOENT, any
// other reader EACCES.
bool may_know_status(pid_t pid) {
  char path[32], target[1];
  std::snprintf(path, sizeof path, "/proc/%d/exe", static_cast<int>(pid));
  return ::readlink(path, target, sizeof target) >= 0 || errno == ENOENT;
}

int return_at_once(void*) { return 0; }

// The thread sanitizer miscounts threads when a child shares our memory.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define KNELL_CHILD_SHARES 0
#endif
#endif
#ifndef KNELL_CHILD_SHARES
#define KNELL_CHILD_SHARES (CLONE_VM | CLONE_VFORK)
#endif

// The child has no page table and no exit signal of its own, so that it is cheap even in a large
// program.
PidfdFeatures probe_features() {
  PidfdFeatures features;
  const auto self = try_pidfd_open(::getpid());
  features.open = self.has_value();
  if (!self) return features;
  PidfdInfo info{};
  features.info = ::ioctl(self->get(), kGetInfo, &info) == 0;
  if (!features.info) return features;

  alignas(16) char stack[16384];
  int pidfd = -1;
  const int child = ::clone(return_at_once, stack + sizeof stack, KNELL_CHILD_SHARES | CLONE_PIDFD,
                            nullptr, &pidfd);
  if (child < 0) return features;
  const UniqueFd owned(pidfd);
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  features.exit_info = exit_info(pidfd).has_value();
  return features;
}

}  // namespace

std::expected<UniqueFd, int> try_pidfd_open(pid_t pid, unsigned flags) {
  const long fd = ::syscall(SYS_pidfd_open, pid, flags);
  if (fd < 0) return std::unexpected(errno);
  return UniqueFd(static_cast<int>(fd));
}

Result<UniqueFd> pidfd_open(pid_t pid, unsigned flags) {
  auto fd = try_pidfd_open(pid, flags);
  if (!fd) return make_error(fd.error(), "open a descriptor for process " + std::to_string(pid));
  return *std::move(fd);
}

int send_signal(int pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 ? 0 : errno;
}

void release_memory(int pidfd) {
  constexpr long kProcessMrelease = 448;  // the same number on all architectures
  (void)::syscall(kProcessMrelease, pidfd, 0);
}

bool is_dead(int pidfd) { return (poll_now(pidfd) & (POLLIN | POLLHUP)) != 0; }

std::optional<int32_t> exit_info(int pidfd) {
  PidfdInfo info{};
  info.mask = kInfoExit;
  if (::ioctl(pidfd, kGetInfo, &info) != 0 || (info.mask & kInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

std::optional<int32_t> child_status(int pidfd) {
  siginfo_t info{};
  const int options = WEXITED | WNOWAIT | WNOHANG | __WALL;
  if (::waitid(kIdPidfd, static_cast<id_t>(pidfd), &info, options) != 0 || info.si_pid == 0) {
    return std::nullopt;
  }
  return wait_status(info);
}

std::optional<int32_t> zombie_status(pid_t pid) {
  const auto stat = read_proc_stat(pid);
  if (!stat || (stat->state != 'Z' && stat->state != 'X')) return std::nullopt;
  if (stat->exit_code != 0) return stat->exit_code;
  if (!may_know_status(pid)) return std::nullopt;
  // Read the file again: the link is also missing if the zombie was reaped in between.
  const auto again = read_proc_stat(pid);
  if (!again || again->start != stat->start || again->state != stat->state) return std::nullopt;
  return again->exit_code;
}

PidfdFeatures pidfd_features() {
  static const PidfdFeatures features = probe_features();
  return features;
}

}  // namespace knell
