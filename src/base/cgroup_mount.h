// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knell {

// Where a hierarchy of cgroups is mounted.
struct CgroupMount {
  std::string root;  // of the hierarchy, what is seen at `point`: "/" is all of it
  std::string point;
};

// `mountinfo`: the text of /proc/PID/mountinfo. `controller`: of version 1, as in the options of
// the mount ("memory", "name=systemd"); empty: version 2.
std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo, std::string_view controller);

}  // namespace knell
