// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knell {

// A whole decimal number within [low, high].
std::optional<int64_t> parse_number(std::string_view text, int64_t low, int64_t high);

// "65536", "64K", "16M", "1G", also "16MiB"; powers of 1024. nullopt: not a size.
std::optional<uint64_t> parse_size(std::string_view text);

// Formats a number of bytes exactly: "4M", "1536K", "1000".
std::string size_text(uint64_t bytes);

}  // namespace knell
