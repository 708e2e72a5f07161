// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knell {

// The lowest memory limit, in bytes, of the cgroups that this process is in; nullopt: no limit is
// known.
std::optional<uint64_t> memory_limit();

// The limit of the cgroup in the texts of /proc/PID/cgroup and /proc/PID/mountinfo; `below` is put
// in front of all mount points, for tests.
std::optional<uint64_t> memory_limit_of(std::string_view cgroups, std::string_view mountinfo,
                                        const std::string& below);

}  // namespace knell
