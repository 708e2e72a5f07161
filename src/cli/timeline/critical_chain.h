// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "cli/timeline/process_history.h"

namespace knell::cli {

struct ChainStep {
  uint32_t process;
  uint64_t own_ns;  // the time that the process took itself, no child on the chain running
};

// The chain of processes that a build waited for, in the order of their starts; the sum of `own_ns`
// is the time that the first one took. It begins with the process without a parent that has the
// most descendants. Within a process it is found from the end backwards: the child that ended last,
// then the child that ended last before that one started, and so on; and the same within each of
// these. So it shows what ran one after the other, not why: events do not tell what waits for what.
// A child that was running when its parent ended, or at the end of the history, is not on it.
std::vector<ChainStep> critical_chain(const ProcessHistory& history, const ChildIndex& children);

}  // namespace knell::cli
