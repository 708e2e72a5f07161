// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>

namespace knell {

// The process of the thread `id`; nullopt: `id` is a process, or no thread has it.
std::optional<pid_t> process_of_thread(pid_t id);

}  // namespace knell
