// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace knell {

// The process that `id` is a thread of, where it is a thread and no process itself.
std::optional<pid_t> process_of_thread(pid_t id);

}  // namespace knell
