// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/pending_exits.h"

#include <algorithm>
#include <utility>

#include "base/pidfd.h"

namespace knell::lib {
namespace {

// Descriptors; chosen, not measured: leaves the rest to the program.
constexpr size_t kMostHeld = 256;

std::optional<int32_t> status_of(int32_t pid, const UniqueFd& pidfd) {
  if (pidfd)
    if (const auto known = exit_info(pidfd.get())) return known;
  const auto known = zombie_status(pid);
  // If the process was reaped in the meantime, the pidfd has the status, and /proc may have shown
  // another process with the same pid.
  if (pidfd)
    if (const auto reaped = exit_info(pidfd.get())) return reaped;
  return known;
}

}  // namespace

void PendingExits::expect(int32_t pid, UniqueFd pidfd, When when, uint64_t until_ns) {
  const Exit exited{.pid = pid, .when = when, .wait_status = status_of(pid, pidfd)};
  if (expected_.size() >= kMostHeld) pidfd.reset();
  expected_.push_back({exited, std::move(pidfd), until_ns});
}

void PendingExits::remove(int32_t pid) {
  if (expected_.empty()) return;
  std::erase_if(expected_, [pid](const Expected& one) { return one.exit.pid == pid; });
}

uint64_t PendingExits::due_ns() const {
  uint64_t first = 0;
  for (const Expected& one : expected_)
    if (first == 0 || one.until_ns < first) first = one.until_ns;
  return first;
}

std::optional<PendingExits::Exit> PendingExits::take(uint64_t now_ns) {
  const auto due = std::find_if(expected_.begin(), expected_.end(),
                                [now_ns](const Expected& one) { return one.until_ns <= now_ns; });
  if (due == expected_.end()) return std::nullopt;
  Exit exited = due->exit;
  if (!exited.wait_status && due->pidfd) exited.wait_status = exit_info(due->pidfd.get());
  expected_.erase(due);
  return exited;
}

}  // namespace knell::lib
