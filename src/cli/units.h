// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knell::cli {

// A whole decimal number within [low, high].
std::optional<int64_t> parse_number(std::string_view text, int64_t low, int64_t high);

// A duration for a report: "0.31s", "12.4s", from one minute on "3m12s".
std::string seconds_text(std::chrono::nanoseconds duration);

}  // namespace knell::cli
