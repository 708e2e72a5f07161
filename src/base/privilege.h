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

// Permanently drops all capabilities but those in `kept` that the thread has, and sets
// no_new_privs, so that exec cannot regain any. Applies to the calling thread only: call it before
// other threads start.
Result<void> keep_capabilities(std::initializer_list<int> kept);

}  // namespace knell
