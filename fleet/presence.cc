// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/presence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <knell/knell.hpp>
#include <utility>

#include "base/json_value.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

// The list of the string members, for writing and reading.
constexpr std::array kTexts{
    std::pair("host", &Presence::host),
    std::pair("instance", &Presence::instance),
    std::pair("machine_id", &Presence::machine_id),
    std::pair("boot_id", &Presence::boot_id),
    std::pair("version", &Presence::version),
    std::pair("state", &Presence::state),
    std::pair("asked", &Presence::asked),
    std::pair("predicates", &Presence::predicates),
    std::pair("refused", &Presence::refused),
    std::pair("stream", &Presence::stream),
};
constexpr std::array kCounts{
    std::pair("sent", &Presence::sent),       std::pair("acked", &Presence::acked),
    std::pair("events", &Presence::events),   std::pair("lost", &Presence::lost),
    std::pair("waiting", &Presence::waiting), std::pair("unsent", &Presence::unsent),
    std::pair("lag_ms", &Presence::lag_ms),   std::pair("unacked", &Presence::unacked),
};
constexpr std::array kTimes{
    std::pair("time_ms", &Presence::time_ms),
    std::pair("interval_ms", &Presence::interval_ms),
};
constexpr size_t kMostPresenceBytes = size_t{16} << 10;  // picked

}  // namespace

std::string presence_json(const Presence& presence) {
  std::string out = "{";
  for (const auto& [name, member] : kTexts)
    out += fmt::format(R"("{}":{},)", name, json_string(presence.*member));
  for (const auto& [name, member] : kCounts)
    out += fmt::format(R"("{}":{},)", name, presence.*member);
  for (const auto& [name, member] : kTimes)
    out += fmt::format(R"("{}":{},)", name, presence.*member);
  out.back() = '}';
  return out;
}

Result<Presence> parse_presence(const std::string& text) {
  const auto root = text.size() <= kMostPresenceBytes ? parse_json_object(text) : std::nullopt;
  if (!root) return say(EINVAL, "invalid presence: not a JSON object, or too long");
  Presence presence;
  for (const auto& [name, member] : kTexts) presence.*member = (*root)[name].text();
  for (const auto& [name, member] : kCounts) presence.*member = (*root)[name].count();
  for (const auto& [name, member] : kTimes)
    presence.*member = static_cast<int64_t>(std::min<uint64_t>((*root)[name].count(), INT64_MAX));
  KNELL_TRY(parse_host(presence.host));
  if (presence.interval_ms < 1 || presence.interval_ms > 86'400'000)
    return say(EINVAL, "invalid presence: the interval is not between 1 ms and a day");
  return presence;
}

std::string refusal_of(const Presence& presence, const std::string& owner) {
  const std::string lines = "\n" + presence.refused, begin = "\n" + owner + ": ";
  const size_t at = lines.find(begin);
  if (at == lines.npos) return "";
  const size_t reason = at + begin.size();
  return lines.substr(reason, lines.find('\n', reason) - reason);
}

bool is_silent(const Presence& presence, std::chrono::milliseconds age) {
  return age.count() > presence.interval_ms * 5 / 2;
}

}  // namespace knell::fleet
