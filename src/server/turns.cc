// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/turns.h"

#include <algorithm>
#include <iterator>

namespace knell::server {
namespace {

constexpr size_t kManyLanes = 1024;  // when to look for idle ones to forget; picked

}  // namespace

Turns::Lane& Turns::lane(uint32_t owner, uint64_t now_ns) {
  if (lanes_.size() >= kManyLanes && !lanes_.contains(owner)) forget_idle(now_ns);
  const auto [at, made] = lanes_.try_emplace(owner);
  if (made) at->second.since_ns = now_ns;
  return at->second;
}

void Turns::forget_idle(uint64_t now_ns) {
  for (auto at = lanes_.begin(); at != lanes_.end();) {
    Lane& of = at->second;
    refill(of, now_ns);
    const bool idle = !of.waiting && of.clients.empty() && of.credit_ns == kMostCreditNs;
    at = idle ? lanes_.erase(at) : std::next(at);
  }
}

void Turns::refill(Lane& lane, uint64_t now_ns) {
  if (now_ns <= lane.since_ns) return;
  const auto more = static_cast<int64_t>((now_ns - lane.since_ns) / kShareOf);
  lane.credit_ns = std::min(lane.credit_ns + more, kMostCreditNs);
  lane.since_ns = now_ns;
}

// Queues the user for its turn, or until it has credit again.
void Turns::wait(uint32_t owner, Lane& lane, uint64_t now_ns) {
  if (lane.waiting || lane.clients.empty()) return;
  lane.waiting = true;
  refill(lane, now_ns);
  if (owner == 0 || lane.credit_ns > 0) {
    order_.push_back(owner);
    return;
  }
  const auto debt = static_cast<uint64_t>(1 - lane.credit_ns);
  held_.emplace(now_ns + debt * kShareOf, owner);
}

void Turns::ready(uint32_t owner, uint64_t client, uint64_t now_ns) {
  Lane& of = lane(owner, now_ns);
  of.clients.push_back(client);
  wait(owner, of, now_ns);
}

std::optional<Turns::Pick> Turns::next(uint64_t now_ns) {
  while (!held_.empty() && held_.begin()->first <= now_ns) {
    const uint32_t owner = held_.begin()->second;
    held_.erase(held_.begin());
    Lane& of = lanes_.at(owner);
    of.waiting = false;
    wait(owner, of, now_ns);
  }
  if (order_.empty()) return std::nullopt;
  const uint32_t owner = order_.front();
  order_.pop_front();
  Lane& of = lanes_.at(owner);
  of.waiting = false;
  const Pick pick{.owner = owner, .client = of.clients.front()};
  of.clients.pop_front();
  return pick;
}

void Turns::done(const Pick& pick, uint64_t cost_ns, Again again, uint64_t now_ns) {
  Lane& of = lane(pick.owner, now_ns);
  refill(of, now_ns);
  of.credit_ns -= static_cast<int64_t>(cost_ns);
  if (again == Again::kYes) of.clients.push_back(pick.client);
  wait(pick.owner, of, now_ns);
}

uint64_t Turns::due_ns() const {
  if (!order_.empty()) return 1;
  return held_.empty() ? 0 : held_.begin()->first;
}

}  // namespace knell::server
