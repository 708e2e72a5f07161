// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <string>

namespace knell::event {

// Appends one event as one JSON object on one line, without a newline. Every type has the common
// fields, in one order, null if unknown; the fields of one type are only in events of that type. A
// `lost` event has few of them (docs/fields.md). Strings are valid UTF-8 and safe on a terminal: a
// byte that is not valid UTF-8 reads `\xff` after parsing; controls and bidirectional marks are
// JSON's own \u escapes, so that well-formed text is unchanged after parsing.
void append_json(std::string& out, const knell_event& event);

// Writes the same to `out`, which must have room for json_bound(event) bytes; returns the end.
// Bytes after the end, within that room, may be overwritten. Allocates nothing.
char* write_json(char* out, const knell_event& event);
// An upper bound of the bytes that write_json() needs; usually several times as many.
size_t json_bound(const knell_event& event);

}  // namespace knell::event
