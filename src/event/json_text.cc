// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/json_text.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "event/printable.h"

// Handles eight bytes at a time, in one integer: all eight are stored unchanged, but only those
// before the first byte that must be escaped count as written.
namespace knell::event {
namespace {

constexpr uint64_t kEach = 0x0101010101010101;  // multiplied by a byte: that byte in all eight
constexpr uint64_t kHighBits = kEach * 0x80;

// The first byte is the lowest, on any machine.
uint64_t swapped(uint64_t word) {
  return std::endian::native == std::endian::little ? word : std::byteswap(word);
}
uint64_t load(std::string_view bytes) {
  uint64_t word;
  std::memcpy(&word, bytes.data(), sizeof word);
  return swapped(word);
}
void store(char* at, uint64_t word) {
  word = swapped(word);
  std::memcpy(at, &word, sizeof word);
}

// Loads fewer than eight bytes, filled up with spaces. Reads no byte beyond the end.
uint64_t load_some(std::string_view bytes) {
  const char* at = bytes.data();
  const size_t size = bytes.size();
  uint64_t word = kEach * ' ';
  if ((size & 1) != 0) word = word << 8 | static_cast<uint8_t>(at[size - 1]);
  if ((size & 2) != 0) {
    const char* two = at + (size & 4);
    word = word << 16 | static_cast<uint64_t>(static_cast<uint8_t>(two[1])) << 8 |
           static_cast<uint8_t>(two[0]);
  }
  if ((size & 4) != 0) {
    uint32_t four;
    std::memcpy(&four, at, sizeof four);
    if constexpr (std::endian::native == std::endian::big) four = std::byteswap(four);
    word = word << 32 | four;
  }
  return word;
}

// Sets the high bit of each byte that is a control, a quote, a backslash, DEL or not ASCII. No
// carry goes from one byte to the next, so each bit is independent.
uint64_t special_bytes(uint64_t word) {
  const uint64_t high = word | kHighBits, low = word & ~kHighBits;
  const uint64_t not_quote = (high ^ kEach * '"') - kEach;
  const uint64_t not_backslash = (high ^ kEach * '\\') - kEach;
  const uint64_t not_control = high - kEach * ' ';
  const uint64_t del = low + kEach;
  return (word | del | ~(not_quote & not_backslash & not_control)) & kHighBits;
}

char* append(char* out, std::string_view bytes) {
  std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

// The code point of a well-formed character that controls a terminal: it has 1 to 3 bytes.
uint32_t code_point(std::string_view c) {
  const auto byte = [c](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(c[i])); };
  if (c.size() == 1) return byte(0);
  if (c.size() == 2) return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
  return (byte(0) & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
}

constexpr char kHex[] = "0123456789abcdef";

char* escape(char* out, uint32_t code) {
  out = append(out, "\\u");
  for (int shift = 12; shift >= 0; shift -= 4) *out++ = kHex[code >> shift & 0xf];
  return out;
}

// Writes the first character, which must be escaped or is not ASCII, and removes it from `bytes`.
[[gnu::noinline]] char* write_special(char* out, std::string_view& bytes) {
  const auto first = static_cast<uint8_t>(bytes[0]);
  const size_t length = utf8_length(bytes);
  const std::string_view character = bytes.substr(0, length);
  bytes.remove_prefix(length == 0 ? 1 : length);
  if (length == 0) {
    out = append(out, "\\\\x");
    *out++ = kHex[first >> 4];
    *out++ = kHex[first & 0xf];
    return out;
  }
  if (first == '"' || first == '\\') *out++ = '\\';
  if (first == '\n') return append(out, "\\n");
  if (first == '\t') return append(out, "\\t");
  return controls_terminal(character) ? escape(out, code_point(character)) : append(out, character);
}

template <bool Words>
[[gnu::always_inline]] inline char* write(char* out, std::string_view bytes) {
  while (!bytes.empty()) {
    const bool whole = bytes.size() >= sizeof(uint64_t);
    const uint64_t word = whole ? load(bytes) : load_some(bytes);
    const uint64_t special = special_bytes(word);
    store(out, word);
    size_t plain = whole ? sizeof word : bytes.size();
    if (special != 0) plain = static_cast<size_t>(std::countr_zero(special)) / 8;
    out += plain;
    bytes.remove_prefix(plain);
    if (special == 0) continue;
    if (Words && bytes[0] == '\0') {
      out = append(out, R"(",")");
      bytes.remove_prefix(1);
    } else {
      out = write_special(out, bytes);
    }
  }
  return out;
}

}  // namespace

char* write_json_text(char* out, std::string_view bytes) { return write<false>(out, bytes); }
char* write_json_words(char* out, std::string_view words) { return write<true>(out, words); }

void append_json_string(std::string& out, std::string_view bytes) {
  out += '"';
  const size_t before = out.size();
  const size_t most = before + kMostEscape * bytes.size() + kSpareText;
  out.resize_and_overwrite(most, [&](char* data, size_t) {
    return static_cast<size_t>(write_json_text(data + before, bytes) - data);
  });
  out += '"';
}

}  // namespace knell::event
