// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/memory_limit.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <ranges>
#include <sstream>

#include "base/cgroup_mount.h"

namespace knell {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The path in the line "number:controllers:path" that has `controller`; an empty `controller` means
// the line of version 2.
std::optional<std::string> path_in(std::string_view cgroups, std::string_view controller) {
  std::istringstream text{std::string(cgroups)};
  for (std::string line; std::getline(text, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    bool found = controller.empty() && controllers.empty();
    for (const auto one : std::views::split(controllers, ','))
      found |= !controller.empty() && std::string_view(one.begin(), one.end()) == controller;
    if (found) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The limit in a file. nullopt: no limit, which is "max", or in version 1 a number as large as the
// address space, rounded down to pages.
std::optional<uint64_t> limit_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  uint64_t bytes = 0;
  if (!(file >> bytes) || bytes >= uint64_t{1} << 62) return std::nullopt;
  return bytes;
}

std::optional<uint64_t> lower(std::optional<uint64_t> a, std::optional<uint64_t> b) {
  return a && b ? std::min(a, b) : a ? a : b;
}

// The lowest limit of a cgroup and of all its ancestors that are mounted.
std::optional<uint64_t> least_above(const CgroupMount& mount, std::string path,
                                    const std::string& below, const char* file) {
  if (mount.root != "/") {
    if (path != mount.root && !path.starts_with(mount.root + "/")) return std::nullopt;
    path.erase(0, mount.root.size());
  }
  const std::filesystem::path point = below + mount.point;
  std::optional<uint64_t> least;
  while (true) {
    while (path.ends_with('/')) path.pop_back();
    // Without the leading slash: operator/ would take an absolute path in place of `point`.
    least =
        lower(least, limit_in(point / std::string_view(path).substr(path.empty() ? 0 : 1) / file));
    if (path.empty()) return least;
    path.erase(path.rfind('/'));
  }
}

}  // namespace

std::optional<uint64_t> memory_limit_of(std::string_view cgroups, std::string_view mountinfo,
                                        const std::string& below) {
  std::optional<uint64_t> least;
  const auto look = [&](const char* controller, const char* file) {
    const auto path = path_in(cgroups, controller);
    if (!path || !path->starts_with('/')) return;
    for (const CgroupMount& mount : cgroup_mounts(mountinfo, controller))
      least = lower(least, least_above(mount, *path, below, file));
  };
  look("", "memory.max");
  look("memory", "memory.limit_in_bytes");
  return least;
}

std::optional<uint64_t> memory_limit() {
  return memory_limit_of(text_of("/proc/self/cgroup"), text_of("/proc/self/mountinfo"), "");
}

}  // namespace knell
