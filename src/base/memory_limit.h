// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knell {

// How much memory the cgroups that this process is in may use, the least of them; nullopt: no limit
// is known.
std::optional<uint64_t> memory_limit();

// The same of given texts of /proc/PID/cgroup and /proc/PID/mountinfo, with all mount points below
// the folder `below`.
std::optional<uint64_t> memory_limit_of(std::string_view cgroups, std::string_view mountinfo,
                                        const std::string& below);

}  // namespace knell
