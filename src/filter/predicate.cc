// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/predicate.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/signal_names.h"

namespace knell::filter {
namespace {

enum Kind : size_t { kNumber, kText, kEnd };  // as in Value

struct KeyRow {
  Key key;
  std::string_view name;
  Kind kind;
  int64_t least = 0, most = 0;  // of a number
};
constexpr int64_t kMaxPid = std::numeric_limits<int32_t>::max();
constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
constexpr std::array<KeyRow, 12> kKeys{{
    {Key::kPid, "pid", kNumber, 1, kMaxPid},
    {Key::kUnder, "under", kNumber, 1, kMaxPid},
    {Key::kComm, "comm", kText},
    {Key::kExe, "exe", kText},
    {Key::kUid, "uid", kNumber, 0, kMaxUid},
    {Key::kUnit, "unit", kText},
    {Key::kCgroup, "cgroup", kText},
    {Key::kContainer, "container", kText},
    {Key::kTty, "tty", kText},
    {Key::kEnded, "ended", kEnd},
    {Key::kLonger, "longer", kNumber, 0, kForEver},
    {Key::kShorter, "shorter", kNumber, 0, kForEver},
}};

const KeyRow* row_of(Key key) {
  const auto* const row = std::ranges::find(kKeys, key, &KeyRow::key);
  return row == kKeys.end() ? nullptr : row;
}

bool is_valid(const KeyRow& row, int64_t number) {
  return number >= row.least && number <= row.most;
}

bool is_valid(const KeyRow& row, const std::string& text) {
  if (text.size() > kMaxValueBytes) return false;
  if (row.key != Key::kCgroup) return !text.empty();
  return text.empty() || (text.front() == '/' && text.back() != '/');
}

bool is_valid(const KeyRow&, const Ended& ended) {
  if (ended.reserved != 0) return false;
  switch (ended.kind) {
    case Ended::Kind::kCodes:
      return ended.first <= ended.last && ended.last <= 255;
    case Ended::Kind::kSignal:
      return ended.first == ended.last && signal_name(ended.first) != nullptr;
    case Ended::Kind::kAnySignal:
    case Ended::Kind::kCore:
    case Ended::Kind::kOom:
    case Ended::Kind::kUnknown:
      return ended.first == 0 && ended.last == 0;
  }
  return false;
}

std::string text_of(const Ended& ended) {
  switch (ended.kind) {
    case Ended::Kind::kCodes:
      return std::to_string(ended.first) +
             (ended.last == ended.first ? "" : "-" + std::to_string(ended.last));
    case Ended::Kind::kSignal:
      return signal_name(ended.first);
    case Ended::Kind::kAnySignal:
      return "signal";
    case Ended::Kind::kCore:
      return "core";
    case Ended::Kind::kOom:
      return "oom";
    case Ended::Kind::kUnknown:
      return "unknown";
  }
  return {};
}

// In the largest unit that gives a whole number.
std::string nanoseconds_text(int64_t ns) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 6> kSteps{
      {{"ns", 1000}, {"us", 1000}, {"ms", 1000}, {"s", 60}, {"m", 60}, {"h", 24}}};
  if (ns == 0) return "0s";
  for (const auto& [unit, next] : kSteps) {
    if (ns % next != 0) return std::to_string(ns) + std::string(unit);
    ns /= next;
  }
  return std::to_string(ns) + "d";
}

std::string text_of_value(const Predicate& predicate, size_t most_bytes) {
  const Key key = predicate.key;
  if (const auto* number = std::get_if<int64_t>(&predicate.value))
    return key == Key::kLonger || key == Key::kShorter ? nanoseconds_text(*number)
                                                       : std::to_string(*number);
  if (const auto* ended = std::get_if<Ended>(&predicate.value)) return text_of(*ended);
  const std::string text = std::get<std::string>(predicate.value).substr(0, most_bytes);
  return text.empty() ? "/" : text;  // the empty path is the root cgroup
}

}  // namespace

std::string_view name_of(Key key) {
  const KeyRow* const row = row_of(key);
  return row == nullptr ? std::string_view() : row->name;
}

Result<void> check(const Predicate& predicate) {
  const KeyRow* const row = row_of(predicate.key);
  if (row == nullptr)
    return say(EINVAL,
               std::to_string(static_cast<uint32_t>(predicate.key)) +
                   " is not the number of a predicate; update the older of knelld and libknell");
  const bool valid =
      predicate.value.index() == row->kind &&
      std::visit([row](const auto& value) { return is_valid(*row, value); }, predicate.value);
  if (!valid)
    return say(EINVAL, std::string(row->name) + ": a value has the wrong type or is out of range");
  return {};
}

void sort_once(std::vector<Predicate>& predicates) {
  if (!std::ranges::is_sorted(predicates)) std::ranges::sort(predicates);
  predicates.erase(std::unique(predicates.begin(), predicates.end()), predicates.end());
}

std::string text_of(std::span<const Predicate> predicates, size_t most_bytes) {
  std::string text;
  for (size_t i = 0; i < predicates.size() && text.size() <= most_bytes; ++i) {
    const Predicate& one = predicates[i];
    const bool again = i > 0 && predicates[i - 1].key == one.key;
    if (again)
      text += ',';
    else
      text.append(text.empty() ? "" : " ").append(name_of(one.key)) += '=';
    text.append(one.excluded ? "!" : "").append(text_of_value(one, most_bytes));
  }
  return text;
}

}  // namespace knell::filter
