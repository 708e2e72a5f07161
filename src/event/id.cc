// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/id.h"

#include <charconv>

namespace knell::event {

IdText id_text(const knell_id& id) {
  IdText text;
  text.size = 0;
  if (id.kind != KNELL_ID_START && id.kind != KNELL_ID_STAMP) return text;
  // The boot id could not be read: without it a process of another boot would get the same name.
  if (id.boot == 0) return text;
  char* p = text.data;
  char* const end = text.data + sizeof text.data;
  constexpr char kHex[] = "0123456789abcdef";
  for (int shift = 28; shift >= 0; shift -= 4) *p++ = kHex[(id.boot >> shift) & 0xf];
  *p++ = '-';
  p = std::to_chars(p, end, id.pid).ptr;
  *p++ = '-';
  if (id.kind == KNELL_ID_STAMP) *p++ = 'x';
  p = std::to_chars(p, end, id.start).ptr;
  text.size = static_cast<size_t>(p - text.data);
  return text;
}

}  // namespace knell::event
