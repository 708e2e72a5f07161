// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/cursor.h"

#include "base/numbers.h"

namespace knell::journal {
namespace {

constexpr std::string_view kPrefix = "k1:";
constexpr size_t kUuidBytes = 36;

}  // namespace

std::string text_of(const Cursor& cursor) {
  return std::string(kPrefix) + cursor.journal + ":" + std::to_string(cursor.seq);
}

std::optional<Cursor> parse_cursor(std::string_view text) {
  if (text.size() > kMostCursorBytes || !text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  if (text.size() <= kUuidBytes || text[kUuidBytes] != ':') return std::nullopt;
  const auto seq = parse_number(text.substr(kUuidBytes + 1), 0, INT64_MAX);
  if (!seq) return std::nullopt;
  return Cursor{.journal = std::string(text.substr(0, kUuidBytes)), .seq = *seq};
}

}  // namespace knell::journal
