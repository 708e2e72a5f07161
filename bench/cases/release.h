// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/frame/failure.h"
#include "bench/frame/run.h"

namespace knell::bench {

struct ReleaseOptions {
  std::vector<uint64_t> hold_bytes{0, 256 << 20};
  size_t victims = 10;  // a turn
};

// Whether victims of that size can be made: half of what is free. To be asked before anything is
// measured.
Outcome<void> check_release(const ReleaseOptions& options);

// A part of `latency`: from the moment a victim's file lock is found free by somebody who waits for
// it to the moment a listener's handler is called. The kernel gives memory back first, then
// descriptors and with them locks, and then tells: the lock is the last to come back.
Outcome<void> measure_release(Run& run, const ReleaseOptions& options);

}  // namespace knell::bench
