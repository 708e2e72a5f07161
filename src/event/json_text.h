// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knell::event {

// Writes the text between the quotes of a JSON string: at most kMostEscape times as many bytes as
// `bytes`. The room must be kSpareText larger, since whole words are stored. Returns the end of
// what was written.
constexpr size_t kMostEscape = 6;
constexpr size_t kSpareText = 8;
char* write_json_text(char* out, std::string_view bytes);
// Appends a whole string with its quotes.
void append_json_string(std::string& out, std::string_view bytes);
// Writes words, which are separated by NULs, as the text between the first and the last quote of an
// array of strings. Needs the same room and returns the end, too.
char* write_json_words(char* out, std::string_view words);

}  // namespace knell::event
