// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knell {

// A duration for people: the two largest units, the second left out when it is 0. "350us", "2ms",
// "41s", "12m5s", "3h12m", "6d". Truncated, never rounded up; a negative duration is shown as 0.
void append_duration(std::string& out, std::chrono::nanoseconds duration);
std::string duration_text(std::chrono::nanoseconds duration);
// With fractions of a second: "0.31s", "12.4s"; from one minute on as above. Truncated.
std::string seconds_text(std::chrono::nanoseconds duration);

// "10ms", "5s", "1h30m", "1.5s", "2d"; a plain number is seconds. Units: ns us ms s m min h d w.
// Errors: EINVAL: empty, negative, an unknown unit, or more than 292 years.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace knell
