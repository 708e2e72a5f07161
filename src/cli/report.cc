// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <knell/knell.hpp>

#include "base/duration.h"
#include "cli/command_column.h"
#include "cli/output_buffer.h"
#include "cli/text.h"

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
  constexpr size_t kEnded = 7, kTook = 5, kAncestry = 19;  // column widths that suit most lines
  const std::string ended = event_text(event);
  const bool killed = (event.has & KNELL_HAS_STATUS) != 0 && WIFSIGNALED(event.wait_status);
  const Colour colour = event.type != KNELL_EVENT_EXIT ? Colour::kCyan
                        : killed                       ? Colour::kRed
                                                       : Colour::kYellow;
  const bool lived = (event.has & KNELL_HAS_DURATION) != 0;
  std::string rest;
  rest.append(ended.size() < kEnded ? kEnded - ended.size() + kColumnGap : kColumnGap, ' ');
  append_padded(rest,
                lived ? seconds_text(nanoseconds(static_cast<int64_t>(event.duration_ns))) : "-",
                kTook + kColumnGap);
  rest += fmt::format("pid {}  ", event.pid);
  const size_t ancestry_at = line.size() + ended.size() + rest.size();
  rest += tree.ancestry(event);
  const size_t before = line.size() + ended.size();
  if (screen_.columns != 0) rest = cut(rest, screen_.columns - std::min(screen_.columns, before));
  std::string command = command_text(event);
  if (command == "-")
    // The process ended before its arguments could be read.
    command = fmt::format("[{}]", name_text(tree.name(event.pid)));
  out += line;
  paint(out, ended, colour, screen_);
  out += rest;
  append_command_column(out, before + display_width(rest), ancestry_at + kAncestry + kColumnGap,
                        event, command, colour, screen_);
  out += '\n';
}

// The event's JSON object with the member `ancestry` added, and for an exec via ptrace two more.
void Report::add_json(const knell_event& event, const Tree& tree, std::string& out) const {
  append_json_line(out, event);
  if (event.type == KNELL_EVENT_LOST) return;
  out.resize(out.size() - 2);  // "}\n"
  out += fmt::format(",\"ancestry\":{}", json_string(tree.ancestry(event, Tree::Spelling::kRaw)));
  if (event.type == KNELL_EVENT_EXEC && event.via == KNELL_VIA_PTRACE)
    out += fmt::format(R"(,"privileges_withheld":{},"not_followed":{})",
                       (event.flags & KNELL_FLAG_PRIVILEGES_WITHHELD) != 0,
                       (event.flags & KNELL_FLAG_NOT_FOLLOWED) != 0);
  out += "}\n";
}

CommandExit describe_exit(const knell_event& exit) {
  // Every exit has these members, whether or not its status is known.
  static constexpr std::string_view kMembers[] = {"core_dumped", "killed_by", "last_signal"};
  CommandExit out{ended(exit), killer_text(exit), {}};
  if (!out.cause.empty()) out.cause.erase(0, 1);  // the text begins with two blanks; keep one
  std::string object;
  append_json_line(object, exit);
  for (const std::string_view key : kMembers) {
    const std::string_view value = json_member(object, key);
    if (value.empty()) continue;
    if (!out.json.empty()) out.json += ',';
    out.json += fmt::format("\"{}\":{}", key, value);
  }
  return out;
}

namespace {

std::string scope_name(uint32_t scope) {
  switch (scope) {
    case KNELL_SCOPE_ALL:
      return "\"all\"";
    case KNELL_SCOPE_USER:
      return "\"user\"";
    case KNELL_SCOPE_NAMESPACE:
      return "\"namespace\"";
    default:
      return "null";
  }
}

void close_json(const RunResult& result, std::string& out) {
  const bool killed = WIFSIGNALED(result.wait_status);
  const std::string how = ended(exit_with(result.wait_status));
  const bool scoped = result.scope == KNELL_SCOPE_USER;
  const bool traced = result.via == KNELL_VIA_PTRACE;
  // If knell could not see all processes, a count of 0 failed processes is shown as unknown (null).
  const bool none = result.failed == 0 && !result.complete();
  out += fmt::format(
      R"({{"type":"summary","command":{},"wait_status":{},"exit_code":{},"signal":{},{},)"
      R"("duration_ns":{},"scope":{},"scope_uid":{},"processes":{},"failed":{},)"
      R"("still_running":{},"lost":{},"lost_exact":{},"via":{},"privileges_withheld":{},)"
      R"("not_followed":{}}})",
      json_string(result.name), result.wait_status,
      killed ? "null" : fmt::to_string(WEXITSTATUS(result.wait_status)),
      killed ? json_string(how.substr(0, how.find(' '))) : "null", result.exit.json,
      result.took.count(), scope_name(result.scope),
      scoped ? fmt::to_string(result.scope_uid) : "null", result.processes,
      none ? "null" : fmt::to_string(result.failed), result.still_running,
      result.losses.counted() ? fmt::to_string(result.losses.count()) : "null",
      result.losses.exact() && result.losses.counted(),
      result.via == KNELL_VIA_AUTO ? "null" : json_string(knell_via_name(result.via)),
      traced ? fmt::to_string(result.privileges_withheld) : "null",
      traced ? fmt::to_string(result.not_followed) : "null");
  out += '\n';
}

void close_text(const RunResult& result, std::string& out) {
  const std::string_view plural = result.processes == 1 ? "" : "es";
  out += fmt::format("knell: {}: {} after {}{}; {} process{}", printable(result.name),
                     result.exit.ended, seconds_text(result.took), result.exit.cause,
                     result.processes, plural);
  if (result.complete()) {
    out += fmt::format(", {} failed under it, {}", result.failed, result.losses.text());
  } else {
    if (result.scope == KNELL_SCOPE_USER) out += fmt::format(" of uid {}", result.scope_uid);
    out += fmt::format(" seen, {} of them failed, {}", result.failed, result.losses.text());
  }
  if (result.still_running != 0) out += fmt::format("; {} still running", result.still_running);
  if (result.scope == KNELL_SCOPE_USER) out += "; other users' processes are hidden";
  out += '\n';
}

}  // namespace

void Report::begin(const RunResult& result, std::string& out) const {
  if (result.via != KNELL_VIA_PTRACE) return;
  if (json_)
    out += fmt::format(R"({{"type":"traced","command":{},"via":"ptrace","reason":{}}})"
                       "\n",
                       json_string(result.name), json_string(result.traced_because));
  else
    out += fmt::format(
        "knell: {} is traced (ptrace), which slows it down: no other source works here: {}\n",
        printable(result.name), result.traced_because);
}

void Report::close(const RunResult& result, std::string& out) const {
  if (json_)
    close_json(result, out);
  else
    close_text(result, out);
}

}  // namespace knell::cli
