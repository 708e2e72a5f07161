// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Integers of variable length: 7 bits in a byte, the lowest first; the top bit of a byte says that
// another follows. Signed ones are mapped to unsigned ones first: 0, -1, 1, -2 to 0, 1, 2, 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace knell::journal {

inline constexpr size_t kMostVarint = 10;

constexpr uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
constexpr int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

// Writes up to kMostVarint bytes; returns the end.
inline char* put_varint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

// Removes a number from the front of `bytes`. False: there is none, or it is too large.
inline bool take_varint(std::string_view& bytes, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < bytes.size() && i < kMostVarint; ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (i == kMostVarint - 1 && byte > 1) return false;
    value |= uint64_t{byte & 0x7fU} << (7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

}  // namespace knell::journal
