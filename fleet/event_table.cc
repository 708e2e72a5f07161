// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/event_table.h"

#include <fmt/format.h>

#include <ctime>
#include <knell/knell.hpp>

#include "base/duration.h"

namespace knell::fleet {
namespace {

tm local_time(int64_t time_ns) {
  const time_t seconds = time_ns / 1'000'000'000;
  tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts;
}

std::string clock_text(int64_t time_ns) {
  const tm parts = local_time(time_ns);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                     time_ns % 1'000'000'000 / 1'000'000);
}

std::string name_or_dash(const knell_string& name) {
  return name.data != nullptr ? printable(view(name)) : "-";
}

std::string command_text(const knell_event& event) {
  std::string out;
  for (const std::string_view word : args(event))
    out += fmt::format("{}{}", out.empty() ? "" : " ", printable(word));
  if (!out.empty()) return out;
  const bool lost = (event.flags & KNELL_FLAG_DETAILS_LOST) != 0;
  return name_or_dash(event.comm) + (lost ? " (details lost)" : "");
}

std::string killer_text(const knell_event& event) {
  if ((event.has & KNELL_HAS_KILLER) == 0) return "";
  if (event.killed_by.cause == KNELL_CAUSE_OOM) return "  <- out of memory";
  if (event.killed_by.cause == KNELL_CAUSE_KERNEL) return "  <- by the kernel";
  return fmt::format("  <- kill by {} {}", event.killed_by.pid, name_or_dash(event.killed_by.comm));
}

std::string lost_line(const knell_event& event) {
  const std::string count =
      (event.has & KNELL_HAS_COUNT) != 0
          ? fmt::format("{}{}", (event.flags & KNELL_FLAG_EXACT) ? "" : "up to ", event.lost_count)
          : "some";
  return fmt::format("lost {} events ({})\n", count, events_text(event.lost_types));
}

}  // namespace

std::string table_header() {
  return fmt::format("{:<12}  {:<16}  {:<7}  {:<12}  {:<8}  {:<16}  {:<6}  {:<12}  {}\n", "TIME",
                     "HOST", "PID", "PARENT", "USER", "UNIT", "AGE", "EVENT", "COMMAND");
}

std::string day_text(int64_t time_ns) {
  const tm parts = local_time(time_ns);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string table_line(const std::string& host, const knell_event& event) {
  const std::string front = fmt::format("{:<12}  {:<16}  ", clock_text(event.time_ns), host);
  if (event.type == KNELL_EVENT_LOST) return front + lost_line(event);
  const auto age = duration(event);
  const std::string user = event.user.data != nullptr    ? name_or_dash(event.user)
                           : (event.has & KNELL_HAS_UID) ? fmt::format("{}", event.uid)
                                                         : "-";
  const std::string how =
      event.type == KNELL_EVENT_EXIT ? ended(event) : std::string(type_name(event.type));
  return front + fmt::format("{:<7}  {:<12}  {:<8}  {:<16}  {:<6}  {:<12}  {}{}\n", event.pid,
                             name_or_dash(event.parent_comm), user, name_or_dash(event.unit),
                             age ? duration_text(*age) : "-", how, command_text(event),
                             killer_text(event));
}

}  // namespace knell::fleet
