// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/death_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <knell/knell.hpp>

#include "base/boot_id.h"
#include "base/duration.h"
#include "base/proc_stat.h"
#include "cli/table.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

constexpr size_t kMostAncestors = 64;  // chosen: more than a person reads
constexpr size_t kMostSiblings = 200;

void add(std::vector<PageLine>& lines, std::string label, std::string text,
         Colour colour = Colour::kNone) {
  if (!text.empty()) lines.push_back({std::move(label), std::move(text), colour});
}

std::string number_and_name(int32_t pid, const knell_string& comm) {
  if (pid == 0) return {};
  return comm.data == nullptr ? fmt::format("{}", pid) : fmt::format("{} {}", pid, printable(comm));
}

// When, how, why.
void add_end(std::vector<PageLine>& lines, const knell_event& exit) {
  std::string how = fmt::format("{} at {}", event_text(exit), clock_text(exit.time_ns));
  if ((exit.has & KNELL_HAS_DURATION) != 0)
    how += fmt::format(", after {}", duration_text(std::chrono::nanoseconds(
                                         static_cast<int64_t>(exit.duration_ns & INT64_MAX))));
  if ((exit.flags & KNELL_FLAG_RECOVERED) != 0) how += " (found missing afterwards)";
  add(lines, "ended", how, is_failure(exit) ? colour_of(exit) : Colour::kNone);
  std::string cause = killer_text(exit);
  constexpr std::string_view kArrow = "<- ";
  cause.erase(0, std::min(cause.find(kArrow), cause.size()));
  for (size_t at = 0; at < cause.size();) {
    // Each arrow with two blanks before it begins another cause; others are parents.
    const size_t next = std::min(cause.find("  <- ", at + 1), cause.size());
    std::string text = cause.substr(at, next - at);
    text.erase(0, text.find(kArrow) + kArrow.size());
    add(lines, at == 0 ? "cause" : "last signal", text, Colour::kYellow);
    at = next;
  }
  if ((exit.has & KNELL_HAS_KILLER) == 0) return;
  const auto& killer = exit.killed_by;
  add(lines, "killer", number_and_name(killer.pid, killer.comm));
  add(lines, "its parent", number_and_name(killer.parent_pid, killer.parent_comm));
  add(lines, "its unit", printable(killer.unit));
}

void add_process(std::vector<PageLine>& lines, const knell_event& exit) {
  add(lines, "process", number_and_name(exit.pid, exit.comm));
  if (exit.args.data != nullptr) {
    add(lines, "command",
        command_text(exit) + ((exit.flags & KNELL_FLAG_ARGS_TRUNCATED) != 0 ? " (cut)" : ""));
  }
  add(lines, "program", printable(exit.exe));
  add(lines, "directory", printable(exit.cwd));
  if ((exit.has & KNELL_HAS_UID) != 0 || exit.user.data != nullptr)
    add(lines, "user", user_text(exit));
  add(lines, "unit", printable(exit.unit));
  add(lines, "container", printable(exit.container_id));
  add(lines, "cgroup", printable(exit.cgroup));
  add(lines, "terminal", printable(exit.tty));
  if (exit.id.kind != KNELL_ID_NONE) add(lines, "id", knell::text(exit.id));
}

void add_ancestors(std::vector<PageLine>& lines, const TopModel& model, const knell_event& exit,
                   const FindLive& find_live) {
  knell_id id = exit.parent_id;
  int32_t pid = exit.ppid;
  std::string known(printable(exit.parent_comm));
  for (size_t depth = 0; depth < kMostAncestors && pid != 0; ++depth) {
    const std::string label = depth == 0 ? "ancestors" : "";
    const Death* death = id.kind == KNELL_ID_NONE ? nullptr : model.find(id);
    if (death != nullptr) {
      const knell_event& event = death->event();
      add(lines, label,
          fmt::format("{} {}  {} at {}", pid, printable(event.comm), event_text(event),
                      clock_text(event.time_ns)),
          is_failure(event) ? colour_of(event) : Colour::kNone);
      id = event.parent_id;
      pid = event.ppid;
      known = printable(event.parent_comm);
      continue;
    }
    const auto live = id.kind == KNELL_ID_NONE ? std::nullopt : find_live(id);
    if (!live) {
      add(lines, label, fmt::format("{} {}  (nothing more is known of it)", pid, known));
      return;
    }
    add(lines, label, fmt::format("{} {}", pid, name_text(live->comm)));
    id = live->parent;
    pid = id.pid;
    known.clear();
  }
}

void add_siblings(std::vector<PageLine>& lines, const TopModel& model, const knell_event& exit) {
  if (exit.ppid == 0) return;
  const std::vector<const Death*> siblings = model.siblings(exit);
  const bool all = model.reaches_back_to(exit.time_ns - TopModel::kSecondNs);
  add(lines, "siblings",
      fmt::format("{}{} of the same parent died within a second{}", siblings.size(),
                  siblings.size() == 1 ? " other child" : " other children",
                  all ? "" : "; earlier deaths are no longer kept"));
  for (size_t i = 0; i < siblings.size() && i < kMostSiblings; ++i) {
    const knell_event& event = siblings[i]->event();
    add(lines, "",
        fmt::format("{}  {}  {}  {}", clock_text(event.time_ns), event.pid, event_text(event),
                    command_text(event)),
        is_failure(event) ? colour_of(event) : Colour::kNone);
  }
  if (siblings.size() > kMostSiblings)
    add(lines, "", fmt::format("and {} more", siblings.size() - kMostSiblings));
}

}  // namespace

std::optional<LiveProcess> find_in_proc(const knell_id& id) {
  static const auto boot =
      static_cast<uint32_t>(std::strtoul(boot_id().substr(0, 8).c_str(), nullptr, 16));
  if (id.kind != KNELL_ID_START || id.boot != boot) return std::nullopt;
  const auto stat = read_proc_stat(id.pid);
  if (!stat || stat->start != id.start) return std::nullopt;
  LiveProcess process;
  process.comm.assign(stat->comm.data(), ::strnlen(stat->comm.data(), stat->comm.size()));
  if (const auto parent = stat->ppid == 0 ? std::nullopt : read_proc_stat(stat->ppid))
    process.parent = {
        .boot = boot, .pid = stat->ppid, .start = parent->start, .kind = KNELL_ID_START};
  return process;
}

std::vector<PageLine> death_page(const TopModel& model, const knell_event& exit,
                                 const FindLive& find_live) {
  std::vector<PageLine> lines;
  add_end(lines, exit);
  add_process(lines, exit);
  add_ancestors(lines, model, exit, find_live);
  add_siblings(lines, model, exit);
  return lines;
}

}  // namespace knell::cli
