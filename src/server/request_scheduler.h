// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace knell::server {

// Decides which client's request is served next. Users take turns, and the clients of a user take
// turns: a client that is first of its user's waits for at most one step of each other user,
// however many connections they have. A user is charged the CPU time of its requests; a user that
// has used more than its share waits until its credit is positive again. Root takes turns, but
// never waits for credit. Times are CLOCK_MONOTONIC. Not thread-safe.
//
//   ready(owner, client) -> { next(); done(cost) }*
class RequestScheduler {
 public:
  struct Pick {
    uint32_t owner = 0;
    uint64_t client = 0;
  };
  enum class Again : uint8_t { kNo, kYes };

  // A user's share of the time (1/kShareOf), and the most credit it can save. Chosen, not measured:
  // a quarter leaves most of a CPU for publishing events; 20 ms are some hundreds of requests.
  static constexpr uint64_t kShareOf = 4;
  static constexpr int64_t kMostCreditNs = 20'000'000;

  // The client has a request to serve. It must not be ready already.
  void ready(uint32_t owner, uint64_t client, uint64_t now_ns);
  // Removes and returns the next client. nullopt: no client is ready, or all wait for credit.
  std::optional<Pick> next(uint64_t now_ns);
  // The client that next() returned was served. kYes: it has more to serve.
  void done(const Pick& pick, uint64_t cost_ns, Again again, uint64_t now_ns);
  // When next() may return a client: 0 never, 1 now.
  uint64_t due_ns() const;

 private:
  struct UserQueue {
    std::deque<uint64_t> clients;
    int64_t credit_ns = kMostCreditNs;
    uint64_t since_ns = 0;  // when credit_ns was computed
    bool waiting = false;   // in order_ or held_
  };
  UserQueue& queue_of(uint32_t owner, uint64_t now_ns);
  void refill(UserQueue& queue, uint64_t now_ns);
  void enqueue(uint32_t owner, UserQueue& queue, uint64_t now_ns);
  void forget_idle(uint64_t now_ns);

  std::unordered_map<uint32_t, UserQueue> queues_;
  std::deque<uint32_t> order_;
  // End of the wait, and the owner (user) that waits
  std::set<std::pair<uint64_t, uint32_t>> held_;
};

}  // namespace knell::server
