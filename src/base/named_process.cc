// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/named_process.h"

#include <cerrno>
#include <optional>
#include <string>

#include "base/pidfd.h"
#include "base/proc_stat.h"
#include "base/thread_of.h"

namespace knell {

Result<UniqueFd> open_named_process(pid_t pid, uint64_t start) {
  if (pid <= 0) return say(EINVAL, "a process id is above 0, not " + std::to_string(pid));
  auto pidfd = try_pidfd_open(pid);
  if (const auto process = !pidfd ? process_of_thread(pid) : std::nullopt)
    return say(ESRCH, std::to_string(pid) + " is a thread of process " + std::to_string(*process) +
                          ", and no process itself");
  if (!pidfd && pidfd.error() == ESRCH)
    return say(ESRCH, "there is no process " + std::to_string(pid));
  // Read after the pidfd is open, so that the start is that of the process it refers to.
  const auto stat = start != 0 ? read_proc_stat(pid) : std::nullopt;
  if (stat && stat->start != start)
    return say(ESRCH,
               "process " + std::to_string(pid) + " has another start time: its pid was reused");
  return pidfd ? *std::move(pidfd) : UniqueFd();
}

}  // namespace knell
