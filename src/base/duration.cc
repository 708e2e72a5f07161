// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/duration.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace knell {
namespace {

// Wide enough for any 64-bit number of a unit, in billionths, so that a sum can be computed first
// and checked for overflow afterwards.
__extension__ typedef __int128 Wide;

struct Unit {
  std::string_view name;
  int64_t ns;
};
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr std::array<Unit, 11> kUnits{{{"ns", 1},
                                       {"us", 1'000},
                                       {"\xc2\xb5s", 1'000},  // the micro sign
                                       {"ms", 1'000'000},
                                       {"s", kSecond},
                                       {"sec", kSecond},
                                       {"m", kMinute},
                                       {"min", kMinute},
                                       {"h", kHour},
                                       {"d", kDay},
                                       {"w", 7 * kDay}}};
constexpr int kFractionDigits = 9;  // further digits are read and ignored

std::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return say(EINVAL, "'" + std::string(text) + "' is not a duration: " + std::string(why));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads a number with its fraction, in billionths, and removes it from `rest`. False: no number, or
// too large.
bool take_number(std::string_view& rest, Wide& billionths) {
  uint64_t whole = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), whole);
  if (error != std::errc{}) return false;
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  billionths = static_cast<Wide>(whole) * kSecond;
  if (rest.size() < 2 || rest[0] != '.' || !is_digit(rest[1])) return true;
  rest.remove_prefix(1);
  int64_t weight = kSecond / 10;
  for (int i = 0; !rest.empty() && is_digit(rest[0]); i++, rest.remove_prefix(1)) {
    if (i < kFractionDigits) billionths += (rest[0] - '0') * weight;
    weight /= 10;
  }
  return true;
}

std::string_view take_letters(std::string_view& rest) {
  size_t n = 0;
  while (n < rest.size() && !is_digit(rest[n]) && rest[n] != '.' && rest[n] != ' ') n++;
  const std::string_view letters = rest.substr(0, n);
  rest.remove_prefix(n);
  return letters;
}

const Unit* find_unit(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

void append_part(std::string& out, int64_t value, std::string_view unit) {
  std::array<char, 24> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end);
  out.append(unit);
}

}  // namespace

void append_duration(std::string& out, std::chrono::nanoseconds duration) {
  const int64_t ns = duration.count() < 0 ? 0 : duration.count();
  // Below a second one unit is shown, from there on up to two adjacent ones.
  if (ns < 1'000) return append_part(out, ns, ns == 0 ? "s" : "ns");
  if (ns < 1'000'000) return append_part(out, ns / 1'000, "us");
  if (ns < kSecond) return append_part(out, ns / 1'000'000, "ms");
  constexpr std::array<Unit, 4> kShown{{{"d", kDay}, {"h", kHour}, {"m", kMinute}, {"s", kSecond}}};
  for (size_t i = 0; i < kShown.size(); i++) {
    if (ns < kShown[i].ns) continue;
    append_part(out, ns / kShown[i].ns, kShown[i].name);
    if (i + 1 == kShown.size()) return;
    const int64_t second = ns % kShown[i].ns / kShown[i + 1].ns;
    if (second != 0) append_part(out, second, kShown[i + 1].name);
    return;
  }
}

std::string duration_text(std::chrono::nanoseconds duration) {
  std::string out;
  append_duration(out, duration);
  return out;
}

std::string seconds_text(std::chrono::nanoseconds duration) {
  const auto digit = [](int64_t value) { return static_cast<char>('0' + value % 10); };
  const int64_t hundredths = std::max<int64_t>(0, duration.count()) / 10'000'000;
  if (hundredths >= 60 * 100) return duration_text(duration);
  std::string out = std::to_string(hundredths / 100);
  out += '.';
  out += digit(hundredths / 10);
  if (hundredths < 10 * 100) out += digit(hundredths);
  out += 's';
  return out;
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  if (rest.empty()) return bad(text, "write for example 10ms, 5s or 1h30m");
  const bool lone = rest.find_first_not_of("0123456789.") == std::string_view::npos;
  constexpr Wide kMost = INT64_MAX;
  Wide total = 0;
  while (!rest.empty()) {
    Wide billionths = 0;
    if (!take_number(rest, billionths)) return bad(text, "write for example 10ms, 5s or 1h30m");
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    const std::string_view name = take_letters(rest);
    const Unit* unit = find_unit(name.empty() && lone ? "s" : name);
    if (unit == nullptr) {
      if (name.empty()) return bad(text, "a number lacks its unit (ns, us, ms, s, m, h, d, w)");
      return bad(text, "there is no unit '" + std::string(name) + "' (ns, us, ms, s, m, h, d, w)");
    }
    // Checked before the multiplication, which could overflow even 128 bits.
    if (billionths / kSecond > kMost / unit->ns) return bad(text, "too long");
    total += billionths * unit->ns / kSecond;
    if (total > kMost) return bad(text, "too long");
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    if (lone && !rest.empty()) return bad(text, "write for example 10ms, 5s or 1h30m");
  }
  return std::chrono::nanoseconds(static_cast<int64_t>(total));
}

}  // namespace knell
