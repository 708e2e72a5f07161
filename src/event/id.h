// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>
#include <string_view>

namespace knell::event {

struct IdText {
  char data[KNELL_ID_TEXT_BYTES];
  size_t size;
  std::string_view view() const { return {data, size}; }
};

// `boot-pid-start`, or `boot-pid-x<timestamp>` if the start is unknown. Empty for KNELL_ID_NONE,
// and if the boot id is unknown (0).
IdText id_text(const knell_id& id);

// Writes the same text to `out`, which must have room for KNELL_ID_TEXT_BYTES; returns the end.
char* write_id(char* out, const knell_id& id);

}  // namespace knell::event
