// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/predicate_values.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "base/duration.h"
#include "base/nearest.h"
#include "filter/glob.h"

namespace knell::filter {
namespace {

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

constexpr size_t kCommLength = 15;  // TASK_COMM_LEN less its NUL
constexpr int64_t kMostUid =
    UINT32_C(0xfffffffe);  // the one above means "no user" to every system call

std::unexpected<Error> bad(std::string_view name, std::string_view value, std::string_view why) {
  return say(EINVAL, std::string(name) + ": '" + std::string(value) + "' " + std::string(why));
}

std::optional<int64_t> number_of(std::string_view text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || number < 0) return std::nullopt;
  return number;
}

}  // namespace

Result<Key> parse_key(std::string_view name) {
  std::array<std::string_view, kKeys.size()> names;
  std::string list;
  for (size_t i = 0; i < kKeys.size(); i++) {
    if (kKeys[i].name == name) return kKeys[i].key;
    names[i] = kKeys[i].name;
    list += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  std::string sentence = "'" + std::string(name) + "' is no predicate";
  if (const auto near = nearest(name, names); !near.empty()) {
    sentence += "; did you mean '" + std::string(near) + "'?";
  }
  return say(EINVAL, sentence + " (" + list + ")");
}

Result<int64_t> parse_pid(std::string_view name, std::string_view value) {
  const auto number = number_of(value);
  if (!number || *number < 1 || *number > std::numeric_limits<int32_t>::max()) {
    return bad(name, value, "is no process id (a number from 1 on)");
  }
  return *number;
}

Result<int64_t> parse_uid(std::string_view name, std::string_view value) {
  const auto number = number_of(value);
  if (!number || *number > kMostUid)
    return bad(name, value, "is no user id (a number from 0 to 4294967294)");
  return *number;
}

Result<int64_t> parse_nanoseconds(std::string_view name, std::string_view value) {
  const auto duration = parse_duration(value);
  if (!duration) return say(EINVAL, std::string(name) + ": " + duration.error().context);
  return duration->count();
}

Result<std::string> parse_cgroup(std::string_view name, std::string_view value) {
  if (!value.starts_with('/')) {
    return bad(name, value, "is no cgroup path (they begin with a slash, as in /system.slice)");
  }
  while (value.ends_with('/')) value.remove_suffix(1);
  return std::string(value);
}

std::string comm_pattern(std::string_view value) {
  return std::string(is_glob(value) ? value : value.substr(0, kCommLength));
}

}  // namespace knell::filter
