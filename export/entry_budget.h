// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace knell::exporter {

// How many entries journald takes from one service: beyond RateLimitBurst= in RateLimitIntervalSec=
// (journald.conf(5), 10,000 in 30 s unless set otherwise) it drops them. An export that may be
// limited waits instead, so that further events wait in the queue at knelld, where lost events are
// counted. Not thread-safe.
class EntryBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{30};
  // Two windows of this object overlap one of journald, so this is less than half of 10,000.
  static constexpr uint64_t kDefault = 4500;

  // `most` entries in a window; 0: no limit.
  explicit EntryBudget(uint64_t most) : most_(most) {}

  // How long to wait before the next entry; zero: it is counted, and may be written now.
  std::chrono::milliseconds take(Time now);

 private:
  const uint64_t most_;
  uint64_t used_ = 0;
  Time began_{};
};

}  // namespace knell::exporter
