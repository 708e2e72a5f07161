// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/json_event.h"

#include <charconv>
#include <knell/knell.hpp>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/time_point.h"

namespace knell::fleet {
namespace {

constexpr uint32_t kTypes[] = {
    KNELL_EVENT_FORK,   KNELL_EVENT_EXEC, KNELL_EVENT_UID,      KNELL_EVENT_GID,  KNELL_EVENT_SID,
    KNELL_EVENT_PTRACE, KNELL_EVENT_COMM, KNELL_EVENT_COREDUMP, KNELL_EVENT_EXIT, KNELL_EVENT_LOST};

uint32_t type_of(const std::string& name) {
  for (const uint32_t type : kTypes)
    if (type_name(type) == name) return type;
  return 0;
}

int64_t signed_number(const JsonValue& value) {
  return static_cast<int64_t>(value.real().value_or(0));
}
int32_t pid_of(const JsonValue& value) { return static_cast<int32_t>(signed_number(value)); }
uint32_t number32(const JsonValue& value) { return static_cast<uint32_t>(value.count()); }
bool is_known(const JsonValue& value) { return value.real().has_value(); }

// "boot-pid-start" or "boot-pid-x<timestamp>".
knell_id id_of(const std::string& text) {
  const auto number = [](std::string_view digits, int base, auto& out) {
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  const size_t first = text.find('-');
  const size_t second = first == text.npos ? text.npos : text.find('-', first + 1);
  if (second == text.npos) return {};
  const std::string_view all = text;
  std::string_view start = all.substr(second + 1);
  const bool stamp = start.starts_with('x');
  if (stamp) start.remove_prefix(1);
  knell_id id{};
  if (!number(all.substr(0, first), 16, id.boot) ||
      !number(all.substr(first + 1, second - first - 1), 10, id.pid) ||
      !number(start, 10, id.start))
    return {};
  id.kind = stamp ? KNELL_ID_STAMP : KNELL_ID_START;
  return id;
}

int64_t time_of(const JsonValue& value) {
  return value.is_string() ? parse_time(value.text(), 0).value_or(0) : 0;
}

}  // namespace

// {"type":...} becomes {"host":"NAME","type":...}. The name of a host has no characters to escape.
std::string json_of_host(const std::string& host, const knell_event& event) {
  std::string line = json(event);
  line.insert(1, R"("host":")" + host + R"(",)");
  return line;
}

knell_string JsonEvent::text(const JsonValue& value) {
  if (!value.is_string()) return {nullptr, 0};
  const std::string& kept = texts_.emplace_back(value.text());
  return {kept.data(), kept.size()};
}

void JsonEvent::fill_killer(const JsonValue& killer) {
  if (!killer.is_object()) return;
  auto& to = event_.killed_by;
  event_.has |= KNELL_HAS_KILLER;
  if (is_known(killer["pid"])) event_.has |= KNELL_HAS_KILLER_PID;
  if (is_known(killer["uid"])) event_.has |= KNELL_HAS_KILLER_UID;
  if (is_known(killer["parent_pid"])) event_.has |= KNELL_HAS_KILLER_PPID;
  to.pid = pid_of(killer["pid"]);
  to.uid = number32(killer["uid"]);
  to.comm = text(killer["comm"]);
  to.parent_pid = pid_of(killer["parent_pid"]);
  to.parent_comm = text(killer["parent_comm"]);
  to.unit = text(killer["unit"]);
  to.memory_cgroup = text(killer["memory_cgroup"]);
  const std::string cause = killer["cause"].text();
  if (cause == "oom") to.cause = KNELL_CAUSE_OOM;
  if (cause == "kernel") to.cause = KNELL_CAUSE_KERNEL;
  if (cause == "user") to.cause = KNELL_CAUSE_USER;
}

void JsonEvent::fill_lost(const JsonValue& value) {
  if (is_known(value["count"])) event_.has |= KNELL_HAS_COUNT;
  event_.lost_count = value["count"].count();
  if (value["exact"].is_true()) event_.flags |= KNELL_FLAG_EXACT;
  for (const JsonValue* type : value["types"].items()) event_.lost_types |= type_of(type->text());
  event_.lost_from_time_ns = time_of(value["from"]);
  event_.lost_until_time_ns = time_of(value["until"]);
}

std::optional<JsonEvent> JsonEvent::parse(const JsonValue& value) {
  JsonEvent out;
  knell_event& e = out.event_;
  e.size = sizeof e;
  e.type = type_of(value["type"].text());
  if (e.type == 0) return std::nullopt;
  e.seq = value["seq"].count();
  e.mono_ns = value["mono_ns"].count();
  e.time_ns = time_of(value["time"]);
  e.id = id_of(value["id"].text());
  e.parent_id = id_of(value["parent_id"].text());
  e.pid = pid_of(value["pid"]);
  e.tid = pid_of(value["tid"]);
  e.ppid = pid_of(value["ppid"]);
  if (is_known(value["ppid"])) e.has |= KNELL_HAS_PPID;
  e.comm = out.text(value["comm"]);
  e.parent_comm = out.text(value["parent_comm"]);
  e.exe = out.text(value["exe"]);
  e.cwd = out.text(value["cwd"]);
  e.user = out.text(value["user"]);
  e.cgroup = out.text(value["cgroup"]);
  e.unit = out.text(value["unit"]);
  e.container_id = out.text(value["container_id"]);
  e.tty = out.text(value["tty"]);
  if (const auto words = value["args"].items(); !words.empty()) {
    std::string& args = out.texts_.emplace_back();
    for (const JsonValue* word : words) args += word->text() + '\0';
    e.args = {args.data(), args.size()};
  }
  if (value["args_truncated"].is_true()) e.flags |= KNELL_FLAG_ARGS_TRUNCATED;
  if (value["recovered"].is_true()) e.flags |= KNELL_FLAG_RECOVERED;
  if (value["details_lost"].is_true()) e.flags |= KNELL_FLAG_DETAILS_LOST;
  if (is_known(value["uid"])) e.has |= KNELL_HAS_UID;
  if (is_known(value["gid"])) e.has |= KNELL_HAS_GID;
  e.uid = number32(value["uid"]);
  e.gid = number32(value["gid"]);
  if (is_known(value["wait_status"])) e.has |= KNELL_HAS_STATUS;
  e.wait_status = static_cast<int32_t>(signed_number(value["wait_status"]));
  if (is_known(value["duration_ns"])) e.has |= KNELL_HAS_DURATION;
  e.duration_ns = value["duration_ns"].count();
  out.fill_killer(value["killed_by"]);
  e.child_id = id_of(value["child_id"].text());
  e.child_pid = pid_of(value["child_pid"]);
  e.child_tid = pid_of(value["child_tid"]);
  e.ruid = number32(value["ruid"]);
  e.euid = number32(value["euid"]);
  e.rgid = number32(value["rgid"]);
  e.egid = number32(value["egid"]);
  e.tracer_pid = pid_of(value["tracer_pid"]);
  e.new_comm = out.text(value["new_comm"]);
  std::error_code error;
  e.via = value["via"].is_string() ? via_parse(value["via"].text(), error) : KNELL_VIA_AUTO;
  if (e.type == KNELL_EVENT_LOST) out.fill_lost(value);
  return out;
}

}  // namespace knell::fleet
