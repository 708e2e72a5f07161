// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/json_event.h"

#include <charconv>
#include <knell/knell.hpp>
#include <optional>
#include <string_view>

#include "base/time_point.h"

namespace knell::cli {
namespace {

int32_t pid_of(const JsonValue& value) {
  const auto number = value.number();
  return number && *number <= INT32_MAX ? static_cast<int32_t>(*number) : 0;
}

template <class T>
bool take_number(std::string_view& text, T& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc();
}

bool take(std::string_view& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.remove_prefix(front.size());
  return true;
}

// "6fa276d3-1260-490014", "6fa276d3-1260-x4900346168430"; the kind is NONE for another text.
knell_id id_of(const JsonValue& value) {
  const std::string whole = value.text();
  std::string_view text = whole;
  knell_id id{};
  if (!take_number(text, id.boot, 16) || !take(text, "-") || !take_number(text, id.pid) ||
      !take(text, "-"))
    return {};
  const bool stamp = take(text, "x");
  if (!take_number(text, id.start) || !text.empty()) return {};
  id.kind = stamp ? KNELL_ID_STAMP : KNELL_ID_START;
  return id;
}

std::optional<uint32_t> type_of(const std::string& name) {
  if (name == "lost") return KNELL_EVENT_LOST;
  uint32_t mask = 0;
  if (name.empty() || knell_events_parse(name.c_str(), &mask) != 0) return std::nullopt;
  if (knell_type_name(mask) != name) return std::nullopt;  // a list, or a filter
  return mask;
}

uint32_t cause_of(const std::string& word) {
  return word == "oom" ? KNELL_CAUSE_OOM : word == "kernel" ? KNELL_CAUSE_KERNEL : KNELL_CAUSE_USER;
}

}  // namespace

knell_string JsonEvent::keep(std::string text) {
  texts_.push_back(std::move(text));
  return {texts_.back().data(), texts_.back().size()};
}

knell_string JsonEvent::text(const JsonValue& value) {
  return value.is_string() ? keep(value.text()) : knell_string{};
}

void JsonEvent::set_name(knell_string& name, const JsonValue& value, const std::string& host) {
  if (value.is_string()) name = keep(host.empty() ? value.text() : host + ":" + value.text());
}

void JsonEvent::set_exit(const JsonValue& line) {
  if (const auto status = line["wait_status"].number()) {
    event_.has |= KNELL_HAS_STATUS;
    event_.wait_status = static_cast<int32_t>(*status & 0xffff);
  }
  if (line["details_lost"].is_true()) event_.flags |= KNELL_FLAG_DETAILS_LOST;
  if (const auto duration = line["duration_ns"].number()) {
    event_.has |= KNELL_HAS_DURATION;
    event_.duration_ns = *duration;
  }
  if (const JsonValue& killer = line["killed_by"]; killer.is_object()) {
    event_.has |= KNELL_HAS_KILLER;
    event_.killed_by.cause = cause_of(killer["cause"].text());
    event_.killed_by.pid = pid_of(killer["pid"]);
    event_.killed_by.uid = static_cast<uint32_t>(killer["uid"].count());
    event_.killed_by.comm = text(killer["comm"]);
    event_.killed_by.parent_comm = text(killer["parent_comm"]);
    event_.killed_by.memory_cgroup = text(killer["memory_cgroup"]);
  }
}

bool JsonEvent::parse(const std::string& line) {
  texts_.clear();
  event_ = {};
  event_.size = sizeof event_;
  const auto parsed = parse_json_object(line);
  if (!parsed) return false;
  const JsonValue& of = *parsed;
  const auto type = type_of(of["type"].text());
  const auto time = parse_time(of["time"].text(), 0);
  if (!type || !time || *time < 0) return false;
  event_.type = *type;
  event_.time_ns = *time;
  event_.mono_ns = static_cast<uint64_t>(*time);
  if (event_.type == KNELL_EVENT_LOST) {
    if (const auto count = of["count"].number()) {
      event_.has |= KNELL_HAS_COUNT;
      event_.lost_count = *count;
    }
    if (of["exact"].is_true()) event_.flags |= KNELL_FLAG_EXACT;
    return true;
  }
  event_.pid = pid_of(of["pid"]);
  if (event_.pid == 0) return false;
  const std::string host = of["host"].text();
  event_.tid = pid_of(of["tid"]);
  event_.ppid = pid_of(of["ppid"]);
  event_.id = id_of(of["id"]);
  event_.parent_id = id_of(of["parent_id"]);
  set_name(event_.comm, of["comm"], host);
  set_name(event_.parent_comm, of["parent_comm"], host);
  set_name(event_.new_comm, of["new_comm"], host);
  event_.user = text(of["user"]);
  event_.unit = text(of["unit"]);
  std::string words;
  for (const JsonValue* word : of["args"].items()) words.append(word->text()).push_back('\0');
  if (!words.empty()) event_.args = keep(std::move(words));
  if (of["args_truncated"].is_true()) event_.flags |= KNELL_FLAG_ARGS_TRUNCATED;
  event_.child_pid = pid_of(of["child_pid"]);
  event_.child_tid = pid_of(of["child_tid"]);
  event_.child_id = id_of(of["child_id"]);
  if (event_.type == KNELL_EVENT_FORK && event_.child_pid == 0) return false;
  if (event_.type == KNELL_EVENT_EXIT) set_exit(of);
  return true;
}

}  // namespace knell::cli
