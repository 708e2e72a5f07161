// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/printable.h"

#include <cstdint>

namespace knell::event {
namespace {

bool plain_ascii(char c) { return c >= 0x20 && c < 0x7f; }

uint8_t at(std::string_view bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }

bool continuation(std::string_view bytes, size_t i) {
  return i < bytes.size() && (at(bytes, i) & 0xc0) == 0x80;
}

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes.size(); i++) {
    const uint8_t byte = at(bytes, i);
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 0xf];
  }
}

}  // namespace

// Unicode 15, table 3-7: the first byte restricts the second (no overlong forms, no surrogates,
// nothing above U+10FFFF).
size_t utf8_length(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const uint8_t first = at(bytes, 0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !continuation(bytes, 1)) return 0;
  if (first < 0xe0) return 2;
  const uint8_t second = at(bytes, 1);
  if (first < 0xf0) {
    const bool ill = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f);
    return !ill && continuation(bytes, 2) ? 3 : 0;
  }
  const bool ill = (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return !ill && continuation(bytes, 2) && continuation(bytes, 3) ? 4 : 0;
}

bool controls_terminal(std::string_view character) {
  const uint8_t first = at(character, 0);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  if (character.size() == 2) {
    if (first == 0xc2) return at(character, 1) < 0xa0;  // U+0080..9F: C1, \x9b is CSI
    return first == 0xd8 && at(character, 1) == 0x9c;   // U+061C
  }
  if (character.size() != 3 || first != 0xe2) return false;
  const uint8_t second = at(character, 1), third = at(character, 2);
  if (second == 0x80) {
    return third == 0x8e || third == 0x8f ||  // U+200E, 200F
           (third >= 0xa8 && third <= 0xae);  // U+2028, 2029, 202A..202E
  }
  return second == 0x81 && third >= 0xa6 && third <= 0xa9;  // U+2066..2069
}

void append_printable(std::string& out, std::string_view bytes) {
  while (!bytes.empty()) {
    size_t plain = 0;
    while (plain < bytes.size() && plain_ascii(bytes[plain])) plain++;
    out.append(bytes.substr(0, plain));
    bytes.remove_prefix(plain);
    if (bytes.empty()) return;
    const size_t length = utf8_length(bytes);
    const std::string_view character = bytes.substr(0, length == 0 ? 1 : length);
    if (length == 0 || controls_terminal(character)) {
      append_escaped(out, character);
    } else {
      out.append(character);
    }
    bytes.remove_prefix(character.size());
  }
}

std::string printable(std::string_view bytes) {
  std::string out;
  append_printable(out, bytes);
  return out;
}

}  // namespace knell::event
