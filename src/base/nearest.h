// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace knell {

// The one of `words` that a user who typed `typed` most likely meant: the one with the fewest
// letters added, left out, changed or swapped, ignoring case. Empty when no word is near enough.
std::string_view nearest(std::string_view typed, std::span<const std::string_view> words);

}  // namespace knell
