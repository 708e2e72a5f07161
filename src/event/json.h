// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <string>

namespace knell::event {

// One event as one JSON object on one line, without a newline. Every type has the common fields, in
// one order, null where unknown; fields of one type are there only with it. A `lost` event has few
// of them (docs: the fields). Strings are valid UTF-8 and safe on a terminal: a byte that is none
// reads `\xff` after parsing, controls and bidirectional marks are JSON's own \u escapes, so that
// well-formed text survives parsing unchanged.
void append_json(std::string& out, const knell_event& event);

// The same into room for json_most(event) bytes; returns the end. The room behind the end may have
// been written to. Allocates nothing.
char* write_json(char* out, const knell_event& event);
// At least what write_json() takes; mostly several times as much.
size_t json_most(const knell_event& event);

}  // namespace knell::event
