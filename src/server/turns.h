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

// Whose request is served next. Users take turns, and the clients of a user take turns among
// themselves: whoever asks waits for one request of each other user at the most, however many
// connections those have. And a user pays for what its requests cost, in CPU time: who has used up
// more than its share is left waiting until it has some again. Root pays nothing, but takes turns.
//
//   ready(owner, client) -> { next(); done(what it cost) }*
class Turns {
 public:
  struct Pick {
    uint32_t owner = 0;
    uint64_t client = 0;
  };
  enum class Again : uint8_t { kNo, kYes };

  // A share of the time, and what may be spent at once after a while without requests. Picked: a
  // quarter leaves the events of all others most of a CPU; 20 ms are some hundreds of requests.
  static constexpr uint64_t kShareOf = 4;
  static constexpr int64_t kMostCreditNs = 20'000'000;

  // The client has something to be served, and was not ready before.
  void ready(uint32_t owner, uint64_t client, uint64_t now_ns);
  // Takes the next one out. nullopt: there is none, or all must wait.
  std::optional<Pick> next(uint64_t now_ns);
  // The client that was taken out has been served, at that cost. `again`: it has more.
  void done(const Pick& pick, uint64_t cost_ns, Again again, uint64_t now_ns);
  // Something else that a user caused.
  void charge(uint32_t owner, uint64_t cost_ns, uint64_t now_ns);
  // When next() may have one: 0 never, 1 now.
  uint64_t due_ns() const;

 private:
  struct Lane {
    std::deque<uint64_t> clients;
    int64_t credit_ns = kMostCreditNs;
    uint64_t since_ns = 0;  // when the credit was that
    bool waiting = false;   // in order_ or held_
  };
  Lane& lane(uint32_t owner, uint64_t now_ns);
  void refill(Lane& lane, uint64_t now_ns);
  void wait(uint32_t owner, Lane& lane, uint64_t now_ns);
  void forget_idle(uint64_t now_ns);

  std::unordered_map<uint32_t, Lane> lanes_;
  std::deque<uint32_t> order_;
  std::set<std::pair<uint64_t, uint32_t>> held_;  // until when, and whose
};

}  // namespace knell::server
