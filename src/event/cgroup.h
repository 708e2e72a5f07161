// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace knell::event {

// A cgroup was created, or it and all cgroups below it have another path from now on.
struct CgroupChange {
  uint64_t inode = 0;     // inode number of its directory
  std::string_view path;  // from the root of its hierarchy
  uint64_t parent = 0;    // not 0: `path` is only a name below the cgroup with this inode
  bool renamed = false;
};

}  // namespace knell::event
