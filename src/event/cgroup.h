// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace knell::event {

// A cgroup was made, or has another path from now on, and so has all that is below it.
struct CgroupChange {
  uint64_t inode = 0;     // of its directory
  std::string_view path;  // from the root of its hierarchy
  uint64_t parent = 0;    // not 0: `path` is but a name below the cgroup with this inode
  bool renamed = false;
};

}  // namespace knell::event
