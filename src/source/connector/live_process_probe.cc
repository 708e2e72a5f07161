// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/live_process_probe.h"

#include <sys/epoll.h>

#include <cerrno>

#include "base/named_process.h"
#include "base/pidfd.h"
#include "base/proc_stat.h"

namespace knell::source {

ProcessProbe::Sign LiveProcessProbe::probe(int32_t pid, uint64_t before_ns, UniqueFd& pidfd) {
  if (!pidfd) {
    auto opened = try_pidfd_open(pid);
    if (!opened && opened.error() == ESRCH) return Sign::kGone;
    if (!opened) {
      // A thread has this pid now, no descriptors are left, an old kernel, or the process is in the
      // middle of an exec: at least check whether the pid is gone.
      if (!exists(pid) || process_of_thread(pid)) return Sign::kGone;
      if (before_ns != 0 && is_another(pid, before_ns)) return Sign::kGone;
      const auto stat = read_proc_stat(pid);
      return stat && stat->state == 'Z' && stat->threads <= 1 ? Sign::kDead : Sign::kUnsure;
    }
    pidfd = *std::move(opened);
  }
  if (is_dead(pidfd.get())) return Sign::kDead;
  if (before_ns == 0 || !is_another(pid, before_ns)) return Sign::kAlive;
  pidfd.reset();
  return Sign::kGone;
}

bool LiveProcessProbe::is_another(int32_t pid, uint64_t before_ns) const {
  const auto stat = read_proc_stat(pid);
  if (!stat) return false;
  process::Timebase time;
  time.take(clock_);
  return stat->start > time.ticks(before_ns);
}

std::optional<int32_t> LiveProcessProbe::status(int32_t pid, const UniqueFd& pidfd) {
  if (!pidfd) return std::nullopt;
  if (const auto known = exit_info(pidfd.get())) return known;
  const auto known = zombie_status(pid);
  // If it was reaped in between, the pidfd has the status now, and /proc may have shown another
  // process.
  if (const auto reaped = exit_info(pidfd.get())) return reaped;
  return known;
}

bool LiveProcessProbe::watch(int32_t pid, int pidfd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = static_cast<uint32_t>(pid);
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, pidfd, &event) == 0 ||
         (errno == EEXIST && ::epoll_ctl(epoll_, EPOLL_CTL_MOD, pidfd, &event) == 0);
}

bool LiveProcessProbe::exists(int32_t pid) { return process_exists(pid); }

}  // namespace knell::source
