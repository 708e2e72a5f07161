// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/pending_exits.h"

#include <utility>

#include "base/pidfd.h"
#include "base/proc_stat.h"

namespace knell::lib {
namespace {

// Descriptors; chosen, not measured: leaves the rest to the program.
constexpr size_t kMostHeld = 256;

bool is_in_proc(int32_t pid, uint64_t start) {
  const auto stat = read_proc_stat(pid);
  return stat && (start == 0 || stat->start == start);
}

std::optional<int32_t> status_of(int32_t pid, uint64_t start, const UniqueFd& pidfd) {
  if (pidfd)
    if (const auto known = exit_info(pidfd.get())) return known;
  const auto known = is_in_proc(pid, start) ? zombie_status(pid) : std::nullopt;
  // If the process was reaped in the meantime, the pidfd has the status, and /proc may have shown
  // another process with the same pid.
  if (pidfd)
    if (const auto reaped = exit_info(pidfd.get())) return reaped;
  return known;
}

}  // namespace

void PendingExits::expect(int32_t pid, uint64_t start, UniqueFd pidfd, When when,
                          uint64_t until_ns) {
  const Key key{pid, start};
  if (expected_.contains(key)) return;
  const Exit exited{
      .pid = pid, .start = start, .when = when, .wait_status = status_of(pid, start, pidfd)};
  if (descriptors_ >= kMostHeld) pidfd.reset();
  descriptors_ += pidfd ? 1 : 0;
  order_.push_back({until_ns, key});
  expected_.emplace(key, Expected{exited, std::move(pidfd), until_ns});
}

void PendingExits::remove(int32_t pid, uint64_t start) {
  const auto found = expected_.find({pid, start});
  if (found == expected_.end()) return;
  descriptors_ -= found->second.pidfd ? 1 : 0;
  expected_.erase(found);
  while (!order_.empty() && !is_expected(order_.front())) order_.pop_front();
}

bool PendingExits::is_expected(const Due& due) const {
  const auto found = expected_.find(due.key);
  return found != expected_.end() && found->second.until_ns == due.until_ns;
}

std::optional<PendingExits::Exit> PendingExits::take(uint64_t now_ns) {
  if (order_.empty() || order_.front().until_ns > now_ns) return std::nullopt;
  const Expected& due = expected_.at(order_.front().key);
  Exit exited = due.exit;
  if (!exited.wait_status && due.pidfd) exited.wait_status = exit_info(due.pidfd.get());
  remove(exited.pid, exited.start);
  return exited;
}

}  // namespace knell::lib
