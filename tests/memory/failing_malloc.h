// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace knell::test {

// Which allocations fail: only the chosen one, or it and all that follow.
enum class Fails { kOne, kAllFrom };

// While it exists, allocations of this thread fail: the nth, counted from 1. malloc(3), calloc(3)
// and realloc(3) of the whole program count, those of shared libraries too, and with them operator
// new.
class FailingMalloc {
 public:
  FailingMalloc(size_t nth, Fails fails);
  ~FailingMalloc();
  FailingMalloc(const FailingMalloc&) = delete;
  FailingMalloc& operator=(const FailingMalloc&) = delete;

  // Lets allocations succeed from now on. Returns whether one failed.
  bool stop();
};

}  // namespace knell::test
