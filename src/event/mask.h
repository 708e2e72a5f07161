// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::event {

// The types of the events that a mask lets pass: a non-zero exit is an exit.
constexpr uint32_t types_of(uint32_t mask) {
  if ((mask & KNELL_EVENT_NONZERO_EXIT) != 0) mask |= KNELL_EVENT_EXIT;
  return mask & ~KNELL_EVENT_NONZERO_EXIT;
}

// Parses names to a mask: "exec,exit", "all", "nonzero". A list that starts with `-name`, as
// "-comm", starts from all. `-exit` removes nonzero-exit, too. Spaces around names and upper case
// do not matter. Errors: EINVAL: an unknown word, with a message that has the most similar name and
// all names; or no event is left.
Result<uint32_t> parse_mask(std::string_view text);

// The names in a mask, comma-separated, in the kernel's order; "all" for all of them, "none" for
// none.
std::string mask_text(uint32_t mask);

// The name of one bit, as "exit" or "lost"; otherwise "unknown". Never null.
const char* type_name(uint32_t type);

}  // namespace knell::event
