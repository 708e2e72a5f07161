// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::event {

// Names to a mask: "exec,exit", "all", "-comm" (a list that starts with a `-name` starts from all),
// "nonzero".
// `-exit` takes nonzero-exit with it. Spaces around names and capitals do not matter.
// Errors: EINVAL, a whole sentence: the word that is no name, the nearest that is, and all of them;
// or nothing left.
Result<uint32_t> parse_mask(std::string_view text);

// The names in a mask, comma-separated, in the kernel's order; "all" for all of them, "none" for
// none.
std::string mask_text(uint32_t mask);

// "exit", ... of one bit, "lost", or "unknown". Never null.
const char* type_name(uint32_t type);

}  // namespace knell::event
