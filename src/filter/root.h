// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>

namespace knell::filter {

// A process that `under` names. A later process with the same pid is another root.
struct Root {
  int32_t pid = 0;
  // Field 22 of /proc/PID/stat. 0: unknown, since /proc could not be read, or since the events come
  // from a file; then the root is the process that has the pid when a source begins to follow it.
  uint64_t start = 0;
  auto operator<=>(const Root&) const = default;
  // Whether the process that has the pid now, whose start is `start_now`, is the root.
  bool has_start(uint64_t start_now) const { return start == 0 || start == start_now; }
};

}  // namespace knell::filter
