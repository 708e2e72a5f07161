// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace knell::lib {

// Events that a listener creates itself because the daemon cannot report them. Their timestamp is
// the current time, and their `seq` is not set.

// The exit of a process of which only the end is known. `start`: 0 if unknown.
knell_event synthetic_exit(const Clock& clock, std::string_view boot_id, int32_t pid,
                           uint64_t start, std::optional<int32_t> wait_status, uint32_t flags);

// A lost event for the time from `from_ns` to now. nullopt: the number of lost events is unknown.
knell_event synthetic_lost(const Clock& clock, uint64_t from_ns, std::optional<uint64_t> count);

}  // namespace knell::lib
