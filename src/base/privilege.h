// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/result.h"

namespace knell {

// The effective capabilities of the calling thread, one bit each (linux/capability.h).
Result<uint64_t> effective_capabilities();

// "all capabilities", "no capabilities", or their names: "CAP_KILL, CAP_NET_ADMIN".
std::string capabilities_text(uint64_t capabilities);

// Gives up for ever every capability but `kept` (of which it keeps what it has), and with
// no_new_privs the way to win any back by exec. The calling thread only: call it before others are
// started.
Result<void> keep_capabilities(std::initializer_list<int> kept);

}  // namespace knell
