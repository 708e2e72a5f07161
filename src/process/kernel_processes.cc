// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/kernel_processes.h"

#include "base/pidfd.h"
#include "base/proc_stat.h"

namespace knell::process {

std::optional<KernelProcesses::State> LiveKernelProcesses::state_of(int32_t pid) {
  const auto stat = read_proc_stat(pid);
  if (!stat) return std::nullopt;
  // A leader that has exited is a zombie while other threads run.
  const bool zombie = stat->state == 'Z' && stat->threads <= 1;
  return State{.start = stat->start,
               .ppid = stat->ppid,
               .ended = zombie || stat->state == 'X',
               .executed = stat->executed};
}

UniqueFd LiveKernelProcesses::open(int32_t pid) {
  auto pidfd = try_pidfd_open(pid);
  return pidfd ? *std::move(pidfd) : UniqueFd();
}

// If the process is reaped in between, the pidfd has the status now, and /proc may have shown
// another process.
std::optional<int32_t> LiveKernelProcesses::status_of(int32_t pid, const UniqueFd& pidfd) {
  if (!pidfd || !is_dead(pidfd.get())) return std::nullopt;
  if (const auto known = exit_info(pidfd.get())) return known;
  const auto known = zombie_status(pid);
  if (const auto reaped = exit_info(pidfd.get())) return reaped;
  return known;
}

}  // namespace knell::process
