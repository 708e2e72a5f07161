// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <knell/knell.hpp>

#include "cli/output.h"
#include "cli/text.h"
#include "cli/units.h"

namespace knell::cli {

using std::chrono::nanoseconds;

knell_event exit_with(int wait_status) {
  knell_event event{};
  event.size = sizeof event;
  event.type = KNELL_EVENT_EXIT;
  event.has = KNELL_HAS_STATUS;
  event.wait_status = wait_status;
  return event;
}

int shell_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void Report::add(const knell_event& event, const Tree& tree, std::string& out) const {
  if (json_) {
    add_json(event, tree, out);
  } else {
    add_text(event, tree, out);
  }
}

// knell: exit 1   0.31s  pid 4412  cc1 <- gcc <- make   cc1 -quiet parser.c -o ccX.s
void Report::add_text(const knell_event& event, const Tree& tree, std::string& out) const {
  std::string line = "knell: ";
  if (event.type == KNELL_EVENT_LOST) {
    paint(out, line + lost_text(event), Colour::kMagenta, screen_);
    out += '\n';
    return;
  }
  constexpr size_t kEnded = 7, kTook = 5, kAncestry = 19,
                   kGap = 2;  // so that usual lines stand in columns
  const std::string ended = event_text(event);
  const bool lived = (event.has & KNELL_HAS_DURATION) != 0;
  std::string rest;
  rest.append(ended.size() < kEnded ? kEnded - ended.size() + kGap : kGap, ' ');
  append_padded(rest,
                lived ? seconds_text(nanoseconds(static_cast<int64_t>(event.duration_ns))) : "-",
                kTook + kGap);
  rest += fmt::format("pid {}  ", event.pid);
  append_padded(rest, tree.ancestry(event), kAncestry);
  std::string command = command_text(event);
  if (command == "-")
    command =
        fmt::format("[{}]", name_text(tree.name(event.pid)));  // it lived too short to be read
  rest += "  " + command + killer_text(event);
  const size_t before = line.size() + ended.size();
  if (screen_.columns != 0) rest = cut(rest, screen_.columns - std::min(screen_.columns, before));
  const bool killed = (event.has & KNELL_HAS_STATUS) != 0 && WIFSIGNALED(event.wait_status);
  out += line;
  paint(out, ended,
        event.type != KNELL_EVENT_EXIT ? Colour::kCyan
        : killed                       ? Colour::kRed
                                       : Colour::kYellow,
        screen_);
  out += rest;
  out += '\n';
}

// The event's object with one field more.
void Report::add_json(const knell_event& event, const Tree& tree, std::string& out) const {
  append_json_line(out, event);
  if (event.type == KNELL_EVENT_LOST) return;
  out.resize(out.size() - 2);  // "}\n"
  out +=
      fmt::format(",\"ancestry\":{}}}\n", json_string(tree.ancestry(event, Tree::Spelling::kRaw)));
}

void Report::close(const RunResult& result, std::string& out) const {
  const knell_event event = exit_with(result.wait_status);
  if (json_) {
    const bool killed = WIFSIGNALED(result.wait_status);
    const std::string how = ended(event);
    out += fmt::format(
        R"({{"type":"summary","command":{},"wait_status":{},"exit_code":{},"signal":{},"duration_ns":{},"processes":{},)"
        R"("failed":{},"still_running":{},"lost":{},"lost_exact":{}}})",
        json_string(result.name), result.wait_status,
        killed ? "null" : fmt::to_string(WEXITSTATUS(result.wait_status)),
        killed ? json_string(how.substr(0, how.find(' '))) : "null", result.took.count(),
        result.processes, result.failed, result.still_running,
        result.losses.counted() ? fmt::to_string(result.losses.count()) : "null",
        result.losses.exact() && result.losses.counted());
    out += '\n';
    return;
  }
  out +=
      fmt::format("knell: {}: {} after {}; {} process{}, {} failed under it, {}",
                  printable(result.name), ended(event), seconds_text(result.took), result.processes,
                  result.processes == 1 ? "" : "es", result.failed, result.losses.text());
  if (result.still_running != 0) out += fmt::format("; {} still running", result.still_running);
  out += '\n';
}

}  // namespace knell::cli
