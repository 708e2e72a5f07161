// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bench/frame/failure.h"

namespace knell::bench {

// The storm blows on one core, the listeners listen on the others, so that what a listener costs
// the storm is what the kernel does for it there, and not a share of the core.
struct Cores {
  int storm = 0;
  std::vector<int> listeners;
};

// `storm` and `listeners` as typed ("0", "1,3-5"); empty: the first core this process may run on,
// and all the others. Status 3 where there is but one core, unless `share`; 2 for words that are no
// cores of this machine.
Outcome<Cores> choose_cores(const std::string& storm, const std::string& listeners, bool share);

void pin(const std::vector<int>& cores);  // the calling thread, and what it starts
inline void pin(int core) { pin(std::vector<int>{core}); }
std::string cores_text(const std::vector<int>& cores);  // "1,3,4"

}  // namespace knell::bench
