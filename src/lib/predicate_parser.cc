// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/predicate_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "base/duration.h"
#include "base/nearest.h"
#include "base/signal_names.h"
#include "filter/shortest_match.h"
#include "lib/user_numbers.h"

namespace knell::lib {
namespace {

using filter::Ended;
using filter::Key;
using filter::Value;

// Maximum number of values in one call, before duplicates are removed; chosen, not measured.
constexpr size_t kMostWritten = 2 * filter::kMaxAlternatives;

struct KeyName {
  std::string_view name;
  Key key;
};
constexpr std::array<KeyName, 15> kKeys{{
    {"pid", Key::kPid},
    {"under", Key::kUnder},
    {"comm", Key::kComm},
    {"exe", Key::kExe},
    {"uid", Key::kUid},
    {"user", Key::kUid},
    {"unit", Key::kUnit},
    {"cgroup", Key::kCgroup},
    {"container", Key::kContainer},
    {"tty", Key::kTty},
    {"ended", Key::kEnded},
    {"exit-code", Key::kEnded},
    {"signal", Key::kEnded},
    {"longer", Key::kLonger},
    {"shorter", Key::kShorter},
}};
constexpr std::array<std::string_view, 4> kWaysToEnd{"signal", "core", "oom", "unknown"};
constexpr std::string_view kDev = "/dev/";

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<Key> parse_key(std::string_view name) {
  std::array<std::string_view, kKeys.size()> names;
  std::string list;
  for (size_t i = 0; i < kKeys.size(); i++) {
    if (kKeys[i].name == name) return kKeys[i].key;
    names[i] = kKeys[i].name;
    list += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  std::string sentence = "'" + std::string(name) + "' is not a predicate";
  if (const auto near = nearest(name, names); !near.empty()) {
    sentence += "; did you mean '" + std::string(near) + "'?";
  }
  return say(EINVAL, sentence + " (" + list + ")");
}

// ------------------------------------------------------------------------------------- values

Result<Value> parse_pid(std::string_view key, std::string_view word) {
  int32_t pid = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
  if (error != std::errc() || end != word.data() + word.size() || pid < 1)
    return say(EINVAL, std::string(key) + ": '" + std::string(word) +
                           "' is not a process id (a number from 1 on)");
  return Value(int64_t{pid});
}

Result<Value> parse_nanoseconds(std::string_view key, std::string_view word) {
  const auto duration = parse_duration(word);
  if (!duration) return say(EINVAL, std::string(key) + ": " + duration.error().context);
  return Value(int64_t{duration->count()});
}

// Removes slashes at the end.
Result<Value> parse_cgroup(std::string_view key, std::string_view word) {
  if (!word.starts_with('/')) {
    return say(EINVAL,
               std::string(key) + ": '" + std::string(word) +
                   "' is not a cgroup path, which must begin with a slash, as in /system.slice");
  }
  while (word.ends_with('/')) word.remove_suffix(1);
  return Value(std::string(word));
}

// The length of the part of `pattern` that stands for its first `count` bytes, if these are literal
// (a backslash makes the next byte literal); npos if they are not.
size_t literal_prefix(std::string_view pattern, size_t count) {
  size_t at = 0;
  for (size_t bytes = 0; bytes < count; ++bytes) {
    if (at == pattern.size() || std::string_view("*?[").contains(pattern[at]))
      return std::string_view::npos;
    at += pattern[at] == '\\' && at + 1 < pattern.size() ? 2 : 1;
  }
  return at;
}

// The kernel truncates names, so only the first bytes of a longer one can match.
Result<Value> comm_pattern(std::string_view key, std::string_view word) {
  const size_t prefix = literal_prefix(word, filter::kMaxCommBytes);
  if (prefix != std::string_view::npos) return Value(std::string(word.substr(0, prefix)));
  if (filter::shortest_match(word) > filter::kMaxCommBytes)
    return say(EINVAL, std::string(key) + ": '" + std::string(word) +
                           "' matches only names longer than the 15 bytes that the kernel stores; "
                           "shorten it");
  return Value(std::string(word));
}

// nullopt: above 255.
std::optional<uint16_t> code_of(std::string_view digits) {
  unsigned code = 256;
  std::from_chars(digits.data(), digits.data() + digits.size(), code);
  return code < 256 ? std::optional(static_cast<uint16_t>(code)) : std::nullopt;
}

Result<Value> parse_codes(std::string_view low, std::string_view high) {
  const auto first = code_of(low), last = code_of(high);
  if (!first || !last) return say(EINVAL, "ended: an exit code must be from 0 to 255");
  if (*first > *last) {
    return say(EINVAL, "ended: in '" + std::string(low) + "-" + std::string(high) +
                           "' the first exit code must not be the larger");
  }
  return Value(Ended{.kind = Ended::Kind::kCodes, .first = *first, .last = *last});
}

std::unexpected<Error> no_way_to_end(std::string_view word) {
  std::string sentence = "ended: '" + std::string(word) + "' is not a way to end";
  // For signals, the error of parse_signal() has the nearest name.
  if (const auto near = nearest(word, kWaysToEnd); !near.empty()) {
    sentence += "; did you mean '" + std::string(near) + "'?";
  } else if (const auto signal = parse_signal(word); !signal) {
    const std::string& words = signal.error().context;
    if (const size_t at = words.find("; did you mean"); at != std::string::npos) {
      sentence += words.substr(at);
    }
  }
  return say(EINVAL, sentence + " (an exit code, 2-255, SIGKILL, signal, core, oom, unknown)");
}

Result<Value> parse_ended(std::string_view key, std::string_view word) {
  const size_t dash = word.find('-');
  if (all_digits(word) && key != "signal") return parse_codes(word, word);
  const bool range = dash != std::string_view::npos && all_digits(word.substr(0, dash)) &&
                     all_digits(word.substr(dash + 1));
  if (range && key != "signal") return parse_codes(word.substr(0, dash), word.substr(dash + 1));
  if (word == "signal") return Value(Ended{.kind = Ended::Kind::kAnySignal});
  if (word == "core") return Value(Ended{.kind = Ended::Kind::kCore});
  if (word == "oom") return Value(Ended{.kind = Ended::Kind::kOom});
  if (word == "unknown") return Value(Ended{.kind = Ended::Kind::kUnknown});
  if (!all_digits(word) && !range && !looks_like_signal(word)) return no_way_to_end(word);
  KNELL_ASSIGN(const int signal, parse_signal(word));
  const auto number = static_cast<uint16_t>(signal);
  return Value(Ended{.kind = Ended::Kind::kSignal, .first = number, .last = number});
}

Result<Value> parse_value(Key key, std::string_view name, std::string_view word) {
  switch (key) {
    case Key::kPid:
    case Key::kUnder:
      return parse_pid(name, word);
    case Key::kUid: {
      KNELL_ASSIGN(const int64_t uid, user_number(name, word));
      return Value(uid);
    }
    case Key::kLonger:
    case Key::kShorter:
      return parse_nanoseconds(name, word);
    case Key::kComm:
      return comm_pattern(name, word);
    case Key::kExe:
    case Key::kUnit:
    case Key::kContainer:
      return Value(std::string(word));
    case Key::kTty:
      if (word.starts_with(kDev) && word != kDev) word.remove_prefix(kDev.size());
      return Value(std::string(word));
    case Key::kCgroup:
      return parse_cgroup(name, word);
    case Key::kEnded:
      return parse_ended(name, word);
  }
  return say(EINVAL, std::string(name) + ": not read yet");
}

}  // namespace

Result<std::vector<filter::Predicate>> parse_predicate(std::string_view name,
                                                       std::string_view values) {
  KNELL_ASSIGN(const Key key, parse_key(name));
  const auto wrong = [&](const std::string& what) {
    return say(EINVAL, std::string(name) + ": " + what);
  };
  std::vector<filter::Predicate> all;
  for (size_t at = 0; at <= values.size();) {
    const size_t comma = std::min(values.find(',', at), values.size());
    std::string_view word = trimmed(values.substr(at, comma - at));
    at = comma + 1;
    const bool excluded = word.starts_with('!');
    if (excluded) word = trimmed(word.substr(1));
    if (word.empty()) return wrong("a value is missing in '" + std::string(values) + "'");
    if (word.size() > filter::kMaxValueBytes)
      return wrong("a value is longer than " + std::to_string(filter::kMaxValueBytes) + " bytes");
    KNELL_ASSIGN(Value value, parse_value(key, name, word));
    all.push_back({.key = key, .excluded = excluded, .value = std::move(value)});
    if (all.size() > kMostWritten)
      return wrong("more than " + std::to_string(filter::kMaxAlternatives) + " values");
  }
  return all;
}

}  // namespace knell::lib
