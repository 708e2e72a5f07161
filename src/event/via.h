// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace knell::event {

// The name of an enum knell_via, as "bpf", or "unknown". Never null; ends with NUL.
const char* via_name(uint32_t via);

// Errors: EINVAL, with a message that has the most similar name, or all names.
Result<uint32_t> parse_via(std::string_view text);

}  // namespace knell::event
