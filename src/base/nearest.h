// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace knell {

// The one of `words` that whoever typed `typed` most likely meant: the fewest letters added, left
// out, changed or swapped, whatever their case. Empty when nothing is near enough to be worth
// proposing.
std::string_view nearest(std::string_view typed, std::span<const std::string_view> words);

}  // namespace knell
