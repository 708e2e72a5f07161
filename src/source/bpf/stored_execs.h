// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace knell::source {

// On kernels where the programs cannot read the memory of a dying process, they store the args and
// the path of each process at its exec. This stores those of a process that exists already, read
// from /proc. Attach the programs first: what they have stored is newer and is not replaced.
void store_exec(int map_fd, int32_t pid);
constexpr size_t kFilesOfAnExec = 3;  // the cost of store_exec() in files: pidfd, cmdline, exe

}  // namespace knell::source
