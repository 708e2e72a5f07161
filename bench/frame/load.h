// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>

#include "bench/frame/failure.h"

namespace knell::bench {

// Ends of processes at times that were settled beforehand: an open loop. A listener that slows the
// machine does not slow the schedule; what is late is made up for, and counted.
struct Pace {
  double per_second = 0;  // 0: as fast as it goes
  double jitter = 0;      // each comes up to this share of a period earlier or later
  uint64_t for_ns = 0;    // and no longer
  uint64_t at_most = UINT64_MAX;
};

struct Load {
  uint64_t count = 0;  // processes; each is the caller's child and ends with status 0
  uint64_t begin_ns = 0, end_ns = 0;
  uint64_t late = 0;  // began more than a period, and more than a millisecond, after their time
  double per_second() const {
    return end_ns > begin_ns
               ? static_cast<double>(count) * 1e9 / static_cast<double>(end_ns - begin_ns)
               : 0;
  }
};

// Blows on the core its caller is pinned to. Ends early when interrupted().
Outcome<Load> blow_paced(const Pace& pace, std::mt19937& random);

}  // namespace knell::bench
