// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/id.h"

#include "event/digits.h"

namespace knell::event {

IdText id_text(const knell_id& id) {
  IdText text;
  text.size = static_cast<size_t>(write_id(text.data, id) - text.data);
  return text;
}

char* write_id(char* out, const knell_id& id) {
  if (id.kind != KNELL_ID_START && id.kind != KNELL_ID_STAMP) return out;
  // The boot id could not be read: without it, processes of different boots could get the same id.
  if (id.boot == 0) return out;
  constexpr char kHex[] = "0123456789abcdef";
#pragma GCC unroll 8
  for (int shift = 28; shift >= 0; shift -= 4) *out++ = kHex[(id.boot >> shift) & 0xf];
  *out++ = '-';
  out = write_signed(out, id.pid);
  *out++ = '-';
  if (id.kind == KNELL_ID_STAMP) *out++ = 'x';
  return write_number(out, id.start);
}

}  // namespace knell::event
