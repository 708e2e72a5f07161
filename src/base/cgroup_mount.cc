// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup_mount.h"

#include <ranges>
#include <sstream>

namespace knell {
namespace {

bool has_option(std::string_view options, std::string_view wanted) {
  for (const auto option : std::views::split(options, ','))
    if (std::string_view(option.begin(), option.end()) == wanted) return true;
  return false;
}

}  // namespace

// A line is "id parent dev root mountpoint options... - type source super-options".
std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo, std::string_view controller) {
  std::vector<CgroupMount> found;
  std::istringstream text{std::string(mountinfo)};
  for (std::string line; std::getline(text, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line), after(line.substr(dash + 3));
    std::string skip, type, source, options;
    CgroupMount mount;
    before >> skip >> skip >> skip >> mount.root >> mount.point;
    after >> type >> source >> options;
    const bool wanted = controller.empty() ? type == "cgroup2"
                                           : type == "cgroup" && has_option(options, controller);
    if (wanted) found.push_back(std::move(mount));
  }
  return found;
}

}  // namespace knell
