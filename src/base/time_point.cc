// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/time_point.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <string>

#include "base/duration.h"
#include "base/numbers.h"

namespace knell {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMostSeconds = INT64_MAX / kSecond - 1;

std::unexpected<Error> bad(std::string_view text) {
  return say(EINVAL, "'" + std::string(text) +
                         "' is not a time: write for example 1h, yesterday, 06:00 or "
                         "'2026-11-23 06:00'");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool take(std::string_view& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.remove_prefix(front.size());
  return true;
}

// Removes a number of exactly `digits` digits.
bool take_digits(std::string_view& text, size_t digits, int& value) {
  if (text.size() < digits) return false;
  value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (!is_digit(text[i])) return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

// Removes ".5", if there is one; digits beyond nanoseconds are read and ignored.
bool take_fraction(std::string_view& text, int64_t& ns) {
  ns = 0;
  if (!take(text, ".")) return true;
  if (text.empty() || !is_digit(text.front())) return false;
  for (int64_t weight = kSecond / 10; !text.empty() && is_digit(text.front()); weight /= 10) {
    ns += (text.front() - '0') * weight;
    text.remove_prefix(1);
  }
  return true;
}

struct Parts {
  tm time{};
  int64_t ns = 0;
  std::optional<int64_t> offset_s;  // of the time zone; nullopt: the local one
};

bool take_date(std::string_view& text, tm& time) {
  int year = 0, month = 0;
  if (!take_digits(text, 4, year) || !take(text, "-") || !take_digits(text, 2, month) ||
      !take(text, "-") || !take_digits(text, 2, time.tm_mday))
    return false;
  time.tm_year = year - 1900;
  time.tm_mon = month - 1;
  return true;
}

bool take_clock(std::string_view& text, Parts& parts) {
  tm& time = parts.time;
  if (!take_digits(text, 2, time.tm_hour) || !take(text, ":") || !take_digits(text, 2, time.tm_min))
    return false;
  if (!take(text, ":")) return time.tm_hour < 24 && time.tm_min < 60;
  return take_digits(text, 2, time.tm_sec) && take_fraction(text, parts.ns) && time.tm_hour < 24 &&
         time.tm_min < 60 && time.tm_sec < 61;
}

bool take_zone(std::string_view& text, Parts& parts) {
  text = trimmed(text);
  if (text.empty()) return true;
  if (take(text, "UTC") || take(text, "Z")) {
    parts.offset_s = 0;
    return text.empty();
  }
  const bool west = text.front() == '-';
  int hours = 0, minutes = 0;
  if (!take(text, "+") && !take(text, "-")) return false;
  if (!take_digits(text, 2, hours)) return false;
  (void)take(text, ":");
  if (!take_digits(text, 2, minutes) || !text.empty() || hours > 14 || minutes > 59) return false;
  parts.offset_s = (west ? -1 : 1) * (int64_t{hours} * 3600 + int64_t{minutes} * 60);
  return true;
}

// False: there is no such day.
bool to_ns(Parts parts, int64_t& ns) {
  const tm wanted = parts.time;
  parts.time.tm_isdst = -1;
  const time_t seconds = parts.offset_s ? ::timegm(&parts.time) : ::mktime(&parts.time);
  const bool same_day = parts.time.tm_mday == wanted.tm_mday && parts.time.tm_mon == wanted.tm_mon;
  if (!same_day || seconds > kMostSeconds || seconds < -kMostSeconds) return false;
  ns = (static_cast<int64_t>(seconds) - parts.offset_s.value_or(0)) * kSecond + parts.ns;
  return true;
}

tm day_of(int64_t now_ns, int days_later) {
  const auto now = static_cast<time_t>(now_ns / kSecond);
  tm day{};
  ::localtime_r(&now, &day);
  day.tm_hour = day.tm_min = day.tm_sec = 0;
  day.tm_mday += days_later;
  day.tm_isdst = -1;
  (void)::mktime(&day);
  day.tm_hour = 0;  // at a change to summer time it may have become another
  return day;
}

std::optional<int64_t> calendar_time(std::string_view text, int64_t now_ns) {
  Parts parts;
  if (text.size() > 4 && text[4] == '-') {
    if (!take_date(text, parts.time)) return std::nullopt;
    if (take(text, "T")) {
      if (!take_clock(text, parts)) return std::nullopt;
    } else if (text.starts_with(' ')) {
      text = trimmed(text);
      if (!text.empty() && is_digit(text.front()) && !take_clock(text, parts)) return std::nullopt;
    }
  } else {
    parts.time = day_of(now_ns, 0);
    if (!take_clock(text, parts)) return std::nullopt;
  }
  int64_t ns = 0;
  if (!take_zone(text, parts) || !to_ns(parts, ns)) return std::nullopt;
  return ns;
}

std::optional<int64_t> since_epoch(std::string_view text) {
  const size_t dot = std::min(text.find('.'), text.size());
  const auto seconds = parse_number(text.substr(0, dot), 0, kMostSeconds);
  int64_t ns = 0;
  std::string_view rest = text.substr(dot);
  if (!seconds || !take_fraction(rest, ns) || !rest.empty()) return std::nullopt;
  return *seconds * kSecond + ns;
}

std::optional<int64_t> named_time(std::string_view text, int64_t now_ns) {
  const auto day = [&](int days_later) {
    int64_t ns = 0;
    to_ns({.time = day_of(now_ns, days_later), .ns = 0, .offset_s = {}}, ns);
    return ns;
  };
  if (text == "now") return now_ns;
  if (text == "today") return day(0);
  if (text == "yesterday") return day(-1);
  if (text == "tomorrow") return day(1);
  return std::nullopt;
}

}  // namespace

Result<int64_t> parse_time(std::string_view whole, int64_t now_ns) {
  std::string_view text = trimmed(whole);
  if (const auto ns = named_time(text, now_ns)) return *ns;
  const auto found = [&]() -> std::optional<int64_t> {
    if (take(text, "@")) return since_epoch(text);
    return calendar_time(text, now_ns);
  }();
  if (found) return *found;
  // A length of time. One without a unit could be meant as anything.
  text = trimmed(whole);
  const bool later = take(text, "+"), earlier = !later && take(text, "-");
  if (!later && !earlier && text.ends_with(" ago")) text.remove_suffix(4);
  if (text.find_first_not_of("0123456789.") == std::string_view::npos) return bad(whole);
  const auto length = parse_duration(text);
  if (!length) return bad(whole);
  const int64_t ns = length->count();
  if (later) return now_ns > INT64_MAX - ns ? INT64_MAX : now_ns + ns;
  return now_ns - ns;
}

}  // namespace knell
