// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/digits.h"

namespace knell::event {
namespace {

constexpr uint64_t k8Digits = 100'000'000;

[[gnu::always_inline]] inline char* up_to_4(char* out, uint32_t value) {
  if (value >= 1'000) return write_4_digits(out, value);
  if (value >= 100) return write_2_digits(write_1_digit(out, value / 100), value % 100);
  return value >= 10 ? write_2_digits(out, value) : write_1_digit(out, value);
}

[[gnu::always_inline]] inline char* up_to_8(char* out, uint32_t value) {
  if (value < 10'000) return up_to_4(out, value);
  return write_4_digits(up_to_4(out, value / 10'000), value % 10'000);
}

}  // namespace

char* write_number(char* out, uint64_t value) {
  if (value < k8Digits) return up_to_8(out, static_cast<uint32_t>(value));
  const uint64_t high = value / k8Digits;
  if (high < k8Digits) {
    out = up_to_8(out, static_cast<uint32_t>(high));
  } else {
    out = up_to_4(out, static_cast<uint32_t>(high / k8Digits));
    out = write_8_digits(out, static_cast<uint32_t>(high % k8Digits));
  }
  return write_8_digits(out, static_cast<uint32_t>(value % k8Digits));
}

char* write_signed(char* out, int64_t value) {
  if (value >= 0) return write_number(out, static_cast<uint64_t>(value));
  *out = '-';
  return write_number(out + 1, -static_cast<uint64_t>(value));
}

}  // namespace knell::event
