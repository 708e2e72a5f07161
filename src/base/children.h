// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace knell {

// Whether a process may have children now. False is certain; true also if that is unknown, for
// example in a kernel without CONFIG_PROC_CHILDREN. `proc`: a descriptor of /proc. Reads one file
// for each of its threads.
bool may_have_children(int proc, int32_t pid);

// The children of a process, sorted. nullopt: unknown, or too many to read at once.
std::optional<std::vector<int32_t>> children_of(int proc, int32_t pid);

}  // namespace knell
