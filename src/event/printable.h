// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knell::event {

// Names, paths and arguments may have any bytes; these functions make them safe to show. Valid
// UTF-8 stays as it is; a byte that is not part of valid UTF-8 is shown as the four characters
// \xff. JSON (event/json_text.h) uses the same rule.
//
// For a terminal: characters that control it (C0 and C1 controls, DEL) or change the direction of a
// line (bidirectional marks, line separators) are shown byte by byte, too: \x1b, \xc2\x9b. A
// backslash stays as it is, so that `grep 'a\.b'` reads as typed: the text is for people and cannot
// always be turned back into the bytes. C and C++ have the bytes.
void append_printable(std::string& out, std::string_view bytes);
std::string printable(std::string_view bytes);

// The length of the well-formed UTF-8 character at the front of `bytes` (1 to 4); 0: there is none.
size_t utf8_length(std::string_view bytes);

// Whether a well-formed character controls a terminal or changes the direction of a line.
bool controls_terminal(std::string_view character);

}  // namespace knell::event
