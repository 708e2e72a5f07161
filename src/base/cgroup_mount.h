// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knell {

// A mount of a cgroup hierarchy.
struct CgroupMount {
  std::string root;  // the cgroup that is visible at `point`; "/": the whole hierarchy
  std::string point;
};

// The mounts of a cgroup hierarchy. `mountinfo`: the text of /proc/PID/mountinfo. `controller`: a
// hierarchy of version 1, by its mount option ("memory", "name=systemd"); empty: version 2.
std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo, std::string_view controller);

}  // namespace knell
