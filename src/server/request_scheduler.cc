// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/request_scheduler.h"

#include <algorithm>
#include <iterator>

namespace knell::server {
namespace {

// Above this number, idle queues are removed; chosen, not measured.
constexpr size_t kManyQueues = 1024;

}  // namespace

RequestScheduler::UserQueue& RequestScheduler::queue_of(uint32_t owner, uint64_t now_ns) {
  if (queues_.size() >= kManyQueues && !queues_.contains(owner)) forget_idle(now_ns);
  const auto [at, made] = queues_.try_emplace(owner);
  if (made) at->second.since_ns = now_ns;
  return at->second;
}

void RequestScheduler::forget_idle(uint64_t now_ns) {
  for (auto at = queues_.begin(); at != queues_.end();) {
    UserQueue& queue = at->second;
    refill(queue, now_ns);
    const bool idle = !queue.waiting && queue.clients.empty() && queue.credit_ns == kMostCreditNs;
    at = idle ? queues_.erase(at) : std::next(at);
  }
}

void RequestScheduler::refill(UserQueue& queue, uint64_t now_ns) {
  if (now_ns <= queue.since_ns) return;
  const auto more = static_cast<int64_t>((now_ns - queue.since_ns) / kShareOf);
  queue.credit_ns = std::min(queue.credit_ns + more, kMostCreditNs);
  queue.since_ns = now_ns;
}

// Queues the user for its turn, or until it has credit again.
void RequestScheduler::enqueue(uint32_t owner, UserQueue& queue, uint64_t now_ns) {
  if (queue.waiting || queue.clients.empty()) return;
  queue.waiting = true;
  refill(queue, now_ns);
  if (owner == 0 || queue.credit_ns > 0) {
    order_.push_back(owner);
    return;
  }
  const auto debt = static_cast<uint64_t>(1 - queue.credit_ns);
  held_.emplace(now_ns + debt * kShareOf, owner);
}

void RequestScheduler::ready(uint32_t owner, uint64_t client, uint64_t now_ns) {
  UserQueue& queue = queue_of(owner, now_ns);
  queue.clients.push_back(client);
  enqueue(owner, queue, now_ns);
}

std::optional<RequestScheduler::Pick> RequestScheduler::next(uint64_t now_ns) {
  while (!held_.empty() && held_.begin()->first <= now_ns) {
    const uint32_t owner = held_.begin()->second;
    held_.erase(held_.begin());
    UserQueue& queue = queues_.at(owner);
    queue.waiting = false;
    enqueue(owner, queue, now_ns);
  }
  if (order_.empty()) return std::nullopt;
  const uint32_t owner = order_.front();
  order_.pop_front();
  UserQueue& queue = queues_.at(owner);
  queue.waiting = false;
  const Pick pick{.owner = owner, .client = queue.clients.front()};
  queue.clients.pop_front();
  return pick;
}

void RequestScheduler::done(const Pick& pick, uint64_t cost_ns, Again again, uint64_t now_ns) {
  UserQueue& queue = queue_of(pick.owner, now_ns);
  refill(queue, now_ns);
  queue.credit_ns -= static_cast<int64_t>(cost_ns);
  if (again == Again::kYes) queue.clients.push_back(pick.client);
  enqueue(pick.owner, queue, now_ns);
}

uint64_t RequestScheduler::due_ns() const {
  if (!order_.empty()) return 1;
  return held_.empty() ? 0 : held_.begin()->first;
}

}  // namespace knell::server
