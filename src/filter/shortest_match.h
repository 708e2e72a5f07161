// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace knell::filter {

// The number of bytes that each text has, at least, which the pattern of a Glob matches.
size_t shortest_match(std::string_view pattern);

}  // namespace knell::filter
