// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace knell::source {

// Where dying processes cannot be read, the programs keep the args and the path of each from its
// exec on. Gives them those of a process that is there already, from /proc. The programs must be
// attached: what they know by themselves is newer, and stays.
void seed_birth(int map_fd, int32_t pid);
constexpr size_t kFilesOfABirth = 3;  // what that costs: pidfd, cmdline, exe

}  // namespace knell::source
