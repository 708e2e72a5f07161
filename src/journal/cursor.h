// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The text of a place in a journal: "k1:UUID:SEQ".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knell::journal {

struct Cursor {
  std::string journal;  // the id of the journal
  int64_t seq = 0;
  bool operator==(const Cursor&) const = default;
};

inline constexpr size_t kMostCursorBytes = 64;  // 3 + 36 + 1 + 19, rounded up

std::string text_of(const Cursor& cursor);
// nullopt: the text is no cursor.
std::optional<Cursor> parse_cursor(std::string_view text);

}  // namespace knell::journal
