// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/columns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <knell/knell.hpp>

#include "base/duration.h"
#include "base/nearest.h"
#include "cli/summary.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

struct Column {
  std::string_view name, title;
  size_t width;
};
// Indexed by Field.
constexpr Column kColumns[] = {
    {"time", "TIME", 12},
    {"type", "TYPE", 8},
    {"pid", "PID", 7},
    {"tid", "TID", 7},
    {"ppid", "PPID", 7},
    {"parent", "PARENT", 12},
    {"user", "USER", 10},
    {"uid", "UID", 6},
    {"unit", "UNIT", 16},
    {"cgroup", "CGROUP", 24},
    {"container", "CONTAINER", 12},
    {"tty", "TTY", 7},
    {"age", "AGE", 6},
    {"ended", "ENDED", 12},
    {"exit_code", "CODE", 4},
    {"signal", "SIGNAL", 8},
    {"killer", "KILLER", 28},
    {"comm", "COMM", 15},
    {"exe", "EXE", 24},
    {"cwd", "CWD", 20},
    {"command", "COMMAND", 30},
    {"id", "ID", 24},
    {"via", "VIA", 9},
};
static_assert(std::size(kColumns) == static_cast<size_t>(Field::kVia) + 1);

const Column& column(Field field) { return kColumns[static_cast<size_t>(field)]; }

bool has(const knell_event& event, uint64_t bit) { return (event.has & bit) != 0; }

std::string number(bool known, int64_t value) { return known ? fmt::format("{}", value) : ""; }

std::string parent(const knell_event& event) {
  if (event.parent_comm.data != nullptr) return printable(event.parent_comm);
  return number(has(event, KNELL_HAS_PPID), event.ppid);
}

std::string user(const knell_event& event) {
  if (event.user.data != nullptr) return printable(event.user);
  return number(has(event, KNELL_HAS_UID), event.uid);
}

std::string container(const knell_event& event) {
  constexpr size_t kUsual = 12;  // of docker ps
  return printable(event.container_id).substr(0, kUsual);
}

std::string age(const knell_event& event) {
  if (!has(event, KNELL_HAS_DURATION)) return "";
  return duration_text(std::chrono::nanoseconds(static_cast<int64_t>(event.duration_ns)));
}

std::string seconds(const knell_event& event) {
  constexpr uint64_t kNs = 1'000'000'000;
  if (!has(event, KNELL_HAS_DURATION)) return "";
  return fmt::format("{}.{:09}", event.duration_ns / kNs, event.duration_ns % kNs);
}

bool has_status(const knell_event& event) {
  return event.type == KNELL_EVENT_EXIT && has(event, KNELL_HAS_STATUS);
}

std::string exit_code(const knell_event& event) {
  const bool exited = has_status(event) && WIFEXITED(event.wait_status);
  return number(exited, exited ? WEXITSTATUS(event.wait_status) : 0);
}

// The signal that killed the process, without " core" and " oom".
std::string signal(const knell_event& event) {
  if (!has_status(event) || !WIFSIGNALED(event.wait_status)) return "";
  const std::string text = event_text(event);
  return text.substr(0, text.find(' '));
}

// Without the arrow that separates it from the command.
std::string killer(const knell_event& event) {
  std::string text = killer_text(event);
  constexpr std::string_view kArrow = "  <- ";
  return text.starts_with(kArrow) ? text.substr(kArrow.size()) : text;
}

std::string id(const knell_event& event) {
  char text[64];
  const ssize_t size = knell_id_text(&event.id, text, sizeof text);
  return size > 0 ? std::string(text) : "";
}

std::string ended(const knell_event& event, TimeZone zone) {
  return event.type == KNELL_EVENT_LOST ? lost_text(event, zone) : event_text(event);
}

}  // namespace

std::string_view column_name(Field field) { return column(field).name; }
std::string_view column_title(Field field) { return column(field).title; }
size_t column_width(Field field) { return column(field).width; }

Outcome<std::vector<Field>> parse_columns(std::string_view list) {
  std::vector<Field> out;
  std::vector<std::string_view> names;
  for (const Column& one : kColumns) names.push_back(one.name);
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    const std::string_view word = list.substr(at, comma - at);
    at = comma + 1;
    const auto found = std::ranges::find(names, word);
    if (found == names.end()) {
      const std::string_view near = nearest(word, names);
      if (!near.empty())
        return usage("-o: unknown column '{}'; did you mean {}?", printable(word), near);
      return usage("-o: unknown column '{}'; columns are {}", printable(word),
                   fmt::join(names, ", "));
    }
    const auto field = static_cast<Field>(found - names.begin());
    if (std::ranges::find(out, field) != out.end())
      return usage("-o: the column {} is given twice", word);
    out.push_back(field);
  }
  return out;
}

std::string table_value(Field field, const knell_event& event) {
  switch (field) {
    case Field::kTime:
      return clock_text(event.time_ns);
    case Field::kType:
      return knell_type_name(event.type);
    case Field::kPid:
      return fmt::format("{}", event.pid);
    case Field::kTid:
      return fmt::format("{}", event.tid);
    case Field::kPpid:
      return number(has(event, KNELL_HAS_PPID), event.ppid);
    case Field::kParent:
      return parent(event);
    case Field::kUser:
      return user(event);
    case Field::kUid:
      return number(has(event, KNELL_HAS_UID), event.uid);
    case Field::kUnit:
      return short_unit(event);
    case Field::kCgroup:
      return printable(event.cgroup);
    case Field::kContainer:
      return container(event);
    case Field::kTty:
      return printable(event.tty);
    case Field::kAge:
      return age(event);
    case Field::kEnded:
      return ended(event, TimeZone::kLocal);
    case Field::kExitCode:
      return exit_code(event);
    case Field::kSignal:
      return signal(event);
    case Field::kKiller:
      return killer(event);
    case Field::kComm:
      return printable(event.comm);
    case Field::kExe:
      return printable(event.exe);
    case Field::kCwd:
      return printable(event.cwd);
    case Field::kCommand:
      return command_text(event);
    case Field::kId:
      return id(event);
    case Field::kVia:
      return std::string(via_text(event.via));
  }
  return {};
}

std::string csv_value(Field field, const knell_event& event) {
  // A lost event is about no process.
  if (event.type == KNELL_EVENT_LOST && field != Field::kTime && field != Field::kType &&
      field != Field::kEnded && field != Field::kVia)
    return {};
  switch (field) {
    case Field::kTime:
      return rfc3339_text(event.time_ns);
    case Field::kUnit:
      return printable(event.unit);
    case Field::kContainer:
      return printable(event.container_id);
    case Field::kAge:
      return seconds(event);
    case Field::kEnded:
      if (event.type != KNELL_EVENT_EXIT && event.type != KNELL_EVENT_LOST) return "";
      return ended(event, TimeZone::kUtc);
    default:
      return table_value(field, event);
  }
}

}  // namespace knell::cli
