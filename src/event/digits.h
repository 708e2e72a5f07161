// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

// Writes decimal digits, two at a time; used for every event that is shown. Each function returns
// the end of what it wrote.
namespace knell::event {

inline constexpr std::array<char, 200> kDigitPairs = [] {
  std::array<char, 200> pairs{};
  for (size_t i = 0; i < 100; i++) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();

// Write exactly the number of digits in the name.
inline char* write_1_digit(char* out, uint32_t value) {
  *out = static_cast<char>('0' + value);
  return out + 1;
}
inline char* write_2_digits(char* out, uint32_t value) {
  std::memcpy(out, &kDigitPairs[size_t{2} * value], 2);
  return out + 2;
}
inline char* write_4_digits(char* out, uint32_t value) {
  return write_2_digits(write_2_digits(out, value / 100), value % 100);
}
inline char* write_8_digits(char* out, uint32_t value) {
  return write_4_digits(write_4_digits(out, value / 10'000), value % 10'000);
}

// Write as many digits as the value needs, 20 bytes at most.
char* write_number(char* out, uint64_t value);
char* write_signed(char* out, int64_t value);

}  // namespace knell::event
