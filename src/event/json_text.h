// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knell::event {

// What goes between the quotes of a JSON string. At most kMostEscape times as many bytes; the room
// must be kSpareText larger, since whole words are stored. Return the end of what was written.
constexpr size_t kMostEscape = 6;
constexpr size_t kSpareText = 8;
char* write_json_text(char* out, std::string_view bytes);
// A whole string with its quotes, at the end of `out`.
void append_json_string(std::string& out, std::string_view bytes);
// Words, with a NUL between two of them: what goes between the first quote and the last one of an
// array of strings.
char* write_json_words(char* out, std::string_view words);

}  // namespace knell::event
