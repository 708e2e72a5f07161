// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "bench/frame/contender.h"

namespace knell::bench {

// A supervisor with children: it holds them in batches, on the storm's core, asks for the end of
// each by pid, lets the batch go at once and hears of every end, with its status. What holding,
// asking and, afterwards, reaping cost does not count: it is the same for all, and the series whose
// figures `table` repeats left it out too.
class Supervisor final : public InProcess {
 public:
  static constexpr size_t kBatch = 1000;

  // `via`: knell_add() over that source; nullptr: pidfd_open, epoll, one event a wake, and waitid
  // with WNOWAIT for the status.
  Supervisor(std::string name, size_t processes, int storm_core, const char* via,
             int64_t latency_ns);

  // After handled(kAllBatches): of all batches together.
  static constexpr pid_t kAllBatches = 1;
  uint64_t elapsed_ns() { return board().figures[0]; }  // until the last end was handled
  uint64_t cpu_ns() { return board().figures[1]; }
  uint64_t told() { return board().figures[2]; }
};

}  // namespace knell::bench
