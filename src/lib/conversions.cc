// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The C ABI of the functions that convert events, masks and ids to text, and names to masks.
#include <knell/knell.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "event/ended.h"
#include "event/id.h"
#include "event/json.h"
#include "event/json_text.h"
#include "event/mask.h"
#include "event/printable.h"
#include "event/via.h"
#include "lib/abi.h"
#include "lib/structure_size.h"

using knell::lib::copy_to_buffer;

namespace {

// Calls `put` with the event, converted to the library's structure if its size differs.
template <class F>
ssize_t with_event(const knell_event* given, F put) {
  if (given == nullptr) return -EINVAL;
  if (given->size == sizeof *given) return put(*given);
  knell_event today;
  if (const auto copied = knell::lib::copy_event(given, today); !copied)
    return knell::lib::store_error(copied.error());
  return put(today);
}

}  // namespace

int knell_events_parse(const char* text, uint32_t* ret_mask) {
  return knell::lib::guarded([&]() -> int {
    if (text == nullptr || ret_mask == nullptr)
      return knell::lib::store_error({EINVAL, "text and ret_mask must not be NULL", true});
    const auto mask = knell::event::parse_mask(text);
    if (!mask) return knell::lib::store_error(mask.error());
    *ret_mask = *mask;
    return 0;
  });
}

ssize_t knell_events_text(uint32_t mask, char* buffer, size_t size) {
  return knell::lib::guarded(
      [&]() -> ssize_t { return copy_to_buffer(knell::event::mask_text(mask), buffer, size); });
}

const char* knell_type_name(uint32_t type) { return knell::event::type_name(type); }

const char* knell_via_name(uint32_t via) { return knell::event::via_name(via); }

int knell_via_parse(const char* text, uint32_t* ret_via) {
  return knell::lib::guarded([&]() -> int {
    if (text == nullptr || ret_via == nullptr)
      return knell::lib::store_error({EINVAL, "text and ret_via must not be NULL", true});
    const auto via = knell::event::parse_via(text);
    if (!via) return knell::lib::store_error(via.error());
    *ret_via = *via;
    return 0;
  });
}

ssize_t knell_event_json(const knell_event* event, char* buffer, size_t size) {
  return knell::lib::guarded([&]() -> ssize_t {
    return with_event(event, [&](const knell_event& today) {
      if (buffer != nullptr && size > knell::event::json_bound(today)) {
        char* const end = knell::event::write_json(buffer, today);
        *end = '\0';
        return end - buffer;
      }
      std::string& text = knell::lib::scratch();
      knell::event::append_json(text, today);
      return copy_to_buffer(text, buffer, size);
    });
  });
}

ssize_t knell_event_ended(const knell_event* event, char* buffer, size_t size) {
  return knell::lib::guarded([&]() -> ssize_t {
    return with_event(event, [&](const knell_event& today) {
      std::string& text = knell::lib::scratch();
      knell::event::append_ended(text, today);
      return copy_to_buffer(text, buffer, size);
    });
  });
}

ssize_t knell_id_text(const knell_id* id, char* buffer, size_t size) {
  return knell::lib::guarded([&]() -> ssize_t {
    if (id == nullptr) return -EINVAL;
    return copy_to_buffer(knell::event::id_text(*id).view(), buffer, size);
  });
}

ssize_t knell_printable(const char* bytes, size_t count, char* buffer, size_t size) {
  return knell::lib::guarded([&]() -> ssize_t {
    if (bytes == nullptr) return count == 0 ? copy_to_buffer({}, buffer, size) : -EINVAL;
    std::string& text = knell::lib::scratch();
    knell::event::append_printable(text, {bytes, count});
    return copy_to_buffer(text, buffer, size);
  });
}

ssize_t knell_json_string(const char* bytes, size_t count, char* buffer, size_t size) {
  return knell::lib::guarded([&]() -> ssize_t {
    if (bytes == nullptr && count != 0) return -EINVAL;
    std::string& text = knell::lib::scratch();
    knell::event::append_json_string(text, {bytes, count});
    return copy_to_buffer(text, buffer, size);
  });
}
