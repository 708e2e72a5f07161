// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

namespace knell::exporter {

// How long to wait before a request is sent again: exponential back-off with jitter, so that many
// hosts do not come back at once, and not less than the endpoint asked for. Not thread-safe.
class Backoff {
 public:
  using Milliseconds = std::chrono::milliseconds;
  static constexpr Milliseconds kFirst{1000}, kMost{60000};  // picked, never tuned
  // A longer Retry-After is not believed: the endpoint may be configured wrong.
  static constexpr Milliseconds kMostAsked = std::chrono::minutes(10);

  explicit Backoff(uint64_t seed) : random_(seed) {}

  Milliseconds next(std::optional<Milliseconds> asked);
  void reset() { step_ = kFirst; }

 private:
  std::minstd_rand random_;
  Milliseconds step_ = kFirst;
};

}  // namespace knell::exporter
