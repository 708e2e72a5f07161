// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knell::event {

// Names, paths and arguments hold any bytes; these make them safe to show. Two forms, one idea:
// valid UTF-8 stays, a byte that is not part of it shows as the four characters \xff.
//
// For a terminal: what would steer it (C0 and C1 controls, DEL) or turn a line around
// (bidirectional marks, line separators) shows byte by byte as \x1b, \xc2\x9b too. A backslash
// stays as it is, so that `grep 'a\.b'` reads as typed: the text is for eyes and cannot be turned
// back into the bytes for certain. C and C++ have those.
void append_printable(std::string& out, std::string_view bytes);
std::string printable(std::string_view bytes);

// The bytes at the front of `bytes` that are one well-formed UTF-8 character (1 to 4), 0 when there
// is none.
size_t utf8_length(std::string_view bytes);

// Whether a well-formed character would steer a terminal, or turn its line around.
bool steers_terminal(std::string_view character);

}  // namespace knell::event
