// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bench/frame/contender.h"

namespace knell::bench {

// What the listeners of a crowd heard of one storm, together.
struct CrowdHeard {
  uint64_t delivered = 0;  // events handed to a handler, of the storm and of others
  uint64_t missing = 0;    // of the storm, that should have been
  uint64_t wrong = 0;      // listeners whose count is not what it should be
};

// Many listeners with different masks, as one contender: every second one wants every exit, the
// rest non-zero exits, forks, execs and names by turns.
class Crowd : public InProcess {
 public:
  using InProcess::InProcess;
  // Of a storm of `processes` that end, `failing` of them with another status than 0. After stop().
  virtual CrowdHeard heard(uint64_t processes, uint64_t failing) const = 0;
};

// Each a naive client of the kernel's connector in a process of its own.
std::unique_ptr<Crowd> make_naive_crowd(size_t listeners);
// Each a knell_open() of its own, all in one process.
std::unique_ptr<Crowd> make_library_crowd(size_t listeners, const char* via);

constexpr size_t kMostListeners = 1000;

}  // namespace knell::bench
