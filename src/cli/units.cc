// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/duration.h"

namespace knell::cli {

std::optional<int64_t> parse_number(std::string_view text, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < low || value > high) return std::nullopt;
  return value;
}

std::string seconds_text(std::chrono::nanoseconds duration) {
  const int64_t hundredths =
      std::max<int64_t>(0, duration.count()) / 10'000'000;  // cut, not rounded
  if (hundredths >= 6000) return duration_text(duration);
  if (hundredths >= 1000) return fmt::format("{}.{}s", hundredths / 100, hundredths % 100 / 10);
  return fmt::format("{}.{:02}s", hundredths / 100, hundredths % 100);
}

}  // namespace knell::cli
