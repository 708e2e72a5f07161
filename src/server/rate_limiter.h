// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace knell::server {

// Limits the requests of one client to a rate, with bursts of up to as many as in one second (a
// token bucket). A client above its rate is held: its requests stay unread in its socket.
class RateLimiter {
 public:
  RateLimiter(uint32_t per_second, uint64_t now_ns) : now_ns_(now_ns) {
    set_rate(per_second);
    left_ = rate_;
  }

  // Whether the client may make a request now; if not, it is held.
  bool may_request(uint64_t now_ns) {
    refill(now_ns);
    held_until_ns_ = left_ < 1 ? now_ns + kPauseNs : 0;
    return held_until_ns_ == 0;
  }
  // Charges a request that costs as much as `worth` requests.
  void spend(uint32_t worth = 1) { left_ -= worth; }
  // Refunds a part of a request.
  void give_back(double part) { left_ += part; }
  uint64_t held_until_ns() const { return held_until_ns_; }
  void release(uint64_t now_ns) {
    if (now_ns >= held_until_ns_) held_until_ns_ = 0;
  }
  void set_rate(uint32_t per_second) { rate_ = std::max<uint32_t>(per_second, 1); }

 private:
  static constexpr uint64_t kPauseNs = 100'000'000;  // chosen, not measured

  void refill(uint64_t now_ns) {
    const double seconds = static_cast<double>(now_ns - std::min(now_ns, now_ns_)) / 1e9;
    now_ns_ = std::max(now_ns, now_ns_);
    left_ = std::min<double>(rate_, left_ + seconds * rate_);
  }

  uint32_t rate_ = 1;
  double left_ = 0;
  uint64_t now_ns_, held_until_ns_ = 0;
};

}  // namespace knell::server
