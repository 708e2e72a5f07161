// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace knell {

// The kernel's id of this boot, 36 characters; empty: it cannot be read.
std::string boot_id();
// Its first 8 hex digits as a number.
uint32_t boot_number();

}  // namespace knell
