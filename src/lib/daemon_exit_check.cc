// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How a listener finds the exits of added processes whose events were lost: while there was no
// connection to the daemon, or among the events that a lost event counts.
//
// The processes are checked, some with each knell_read(). If one has exited and the daemon does not
// report it within the grace period, its exit is synthesized, with the flag "recovered".
//
// A loss starts a check of all added processes, and another one a grace period later: the source
// may have lost the record of an exit before the process had ended. Losses between the two start no
// further check, so that the cost is bounded while there are many losses.
#include <utility>

#include "base/named_process.h"
#include "lib/daemon_listener.h"

namespace knell::lib {
namespace {

// The processes checked with one read: about 3 ms. An estimate, not measured.
constexpr size_t kCheckedARead = 256;

}  // namespace

// Events that may include exits were lost.
void DaemonListener::on_lost_exits() {
  if (filter_.added.empty()) return;
  if (check_all_ns_ == 0 && to_check_.empty()) check_all_added();
  check_again_later();
}

void DaemonListener::check_again_later() {
  if (check_all_ns_ != 0)
    check_once_more_ = true;
  else
    check_all_ns_ = grace_ns();
}

void DaemonListener::check_all_added() {
  to_check_.clear();
  to_check_.reserve(filter_.added.size());
  filter_.added.for_each(
      [this](int32_t pid, const ListenerFilter::Added&) { to_check_.push_back(pid); });
}

void DaemonListener::check_some_added(uint64_t now_ns) {
  if (to_check_.empty() && check_all_ns_ != 0 && now_ns >= check_all_ns_) {
    check_all_added();
    check_all_ns_ = std::exchange(check_once_more_, false) ? grace_ns() : 0;
  }
  for (size_t n = 0; n < kCheckedARead && !to_check_.empty(); ++n) {
    const int32_t pid = to_check_.back();
    to_check_.pop_back();
    check_for_exit(pid);
  }
  if (to_check_.empty()) to_check_ = {};  // frees the memory
}

void DaemonListener::check_for_exit(int32_t pid) {
  const ListenerFilter::Added* one = filter_.added.find(pid);
  if (one == nullptr || pending_exits_.has(pid, one->start)) return;
  UniqueFd pidfd;
  const Life life = life_of(pid, one->start, pidfd);
  if (life == Life::kEnded) expect_lost_exit(pid, std::move(pidfd));
  if (life == Life::kUnknown) check_again_later();
}

void DaemonListener::expect_lost_exit(int32_t pid, UniqueFd pidfd) {
  const ListenerFilter::Added* one = filter_.added.find(pid);
  if (one == nullptr) return;
  pending_exits_.expect(pid, one->start, std::move(pidfd), PendingExits::When::kLost, grace_ns());
}

}  // namespace knell::lib
