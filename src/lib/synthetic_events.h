// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace knell::lib {

// Events that a listener makes itself where the daemon cannot tell them. All happen now, and have
// no `seq` yet.

// The exit of a process of which no more is known than that it is over. `start`: 0, not known.
knell_event made_exit(const Clock& clock, std::string_view boot_id, int32_t pid, uint64_t start,
                      std::optional<int32_t> wait_status, uint32_t flags);

// A hole that began at `from_ns`. nullopt: nobody knows how much is missing.
knell_event made_lost(const Clock& clock, uint64_t from_ns, std::optional<uint64_t> count);

}  // namespace knell::lib
