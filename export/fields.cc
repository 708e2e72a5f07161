// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// The table of fields. The library writes the JSON form of events; these two formats have names and
// types of their own.
#include "export/fields.h"

#include <fmt/format.h>
#include <string.h>
#include <sys/wait.h>

#include <knell/knell.hpp>

#include "base/duration.h"
#include "export/ending.h"

namespace knell::exporter {
namespace {

using Event = const knell_event&;
constexpr std::monostate kAbsent;

Value text(const knell_string& of) {
  if (of.data == nullptr) return kAbsent;
  return printable(view(of));
}
Value id(const knell_id& of) {
  if (of.kind == KNELL_ID_NONE) return kAbsent;
  return knell::text(of);
}
Value number_if(bool known, int64_t number) {
  if (!known) return kAbsent;
  return number;
}
Value count(uint64_t number) { return static_cast<int64_t>(number); }
bool has(Event e, uint64_t bit) { return (e.has & bit) != 0; }
bool is(Event e, uint32_t type) { return e.type == type; }

Value base_name(Event e) {
  if (e.exe.size == 0) return kAbsent;
  const std::string_view path = view(e.exe);
  return printable(path.substr(path.rfind('/') + 1));
}
Value arguments(Event e) {
  if (e.args.data == nullptr) return kAbsent;
  std::vector<std::string> words;
  for (const std::string_view word : args(e)) words.push_back(printable(word));
  return words;
}
Value ended_text(Event e) {
  if (!is(e, KNELL_EVENT_EXIT)) return kAbsent;
  return ended(e);
}
// "SIGKILL" of "SIGKILL oom".
std::string signal_name(Event e) {
  const std::string how = ended(e);
  return how.substr(0, how.find(' '));
}
Value signal_text(Event e) {
  if (!signal(e)) return kAbsent;
  return signal_name(e);
}
Value core_dumped(Event e) {
  if (!signal(e)) return kAbsent;
  return WCOREDUMP(e.wait_status) != 0;
}
// error.type must have few distinct values.
Value error_type(Event e) {
  if (!is(e, KNELL_EVENT_EXIT)) return kAbsent;
  switch (ending_of(e)) {
    case Ending::kOk:
    case Ending::kUnknown:
      return kAbsent;
    case Ending::kOom:
      return "oom";
    case Ending::kNonzero:
      return fmt::format("exit_{}", *exit_code(e));
    case Ending::kSignal:
    case Ending::kCore:
      return signal_name(e);
  }
  return kAbsent;
}
// As systemd logs the end of a service: EXIT_CODE=killed, EXIT_STATUS=9.
Value systemd_code(Event e) {
  if (signal(e)) return WCOREDUMP(e.wait_status) ? "dumped" : "killed";
  if (exit_code(e)) return "exited";
  return kAbsent;
}
Value systemd_status(Event e) {
  if (const auto number = signal(e)) return int64_t{*number};
  if (const auto code = exit_code(e)) return int64_t{*code};
  return kAbsent;
}
Value cause(Event e) {
  if (!has(e, KNELL_HAS_KILLER)) return kAbsent;
  switch (e.killed_by.cause) {
    case KNELL_CAUSE_USER:
      return "user";
    case KNELL_CAUSE_KERNEL:
      return "kernel";
    case KNELL_CAUSE_OOM:
      return "oom";
    default:
      return kAbsent;
  }
}
Value last_signal(Event e) {
  if (!has(e, KNELL_HAS_LAST_SIGNAL)) return kAbsent;
  const char* name = ::sigabbrev_np(e.last_signal.signal);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("{}", e.last_signal.signal);
}
Value lost_types(Event e) {
  if (!is(e, KNELL_EVENT_LOST)) return kAbsent;
  return events_text(e.lost_types);
}
Value flag(Event e, uint32_t bit) {
  if ((e.flags & bit) == 0) return kAbsent;
  return true;
}

// clang-format off
constexpr Field kFields[] = {
    {"knell.type", "KNELL_TYPE", [](Event e) -> Value { return std::string(type_name(e.type)); }},
    {"knell.seq", "KNELL_SEQ", [](Event e) { return count(e.seq); }},
    {"", "KNELL_TIME_NS", [](Event e) -> Value { return e.time_ns; }},
    {"knell.mono_ns", "KNELL_MONO_NS", [](Event e) { return count(e.mono_ns); }},
    {"knell.via", "KNELL_VIA", [](Event e) -> Value { return std::string(via_name(e.via)); }},
    {"knell.recovered", "KNELL_RECOVERED", [](Event e) { return flag(e, KNELL_FLAG_RECOVERED); }},
    // the process
    {"knell.id", "KNELL_ID", [](Event e) { return id(e.id); }},
    {"knell.parent_id", "KNELL_PARENT_ID", [](Event e) { return id(e.parent_id); }},
    {"process.pid", "KNELL_PID", [](Event e) { return number_if(e.pid > 0, e.pid); }},
    {"process.parent_pid", "KNELL_PPID", [](Event e) { return number_if(has(e, KNELL_HAS_PPID), e.ppid); }},
    {"knell.comm", "KNELL_COMM", [](Event e) { return text(e.comm); }},
    {"knell.parent_comm", "KNELL_PARENT_COMM", [](Event e) { return text(e.parent_comm); }},
    {"process.executable.name", "", base_name},
    {"process.executable.path", "KNELL_EXE", [](Event e) { return text(e.exe); }},
    {"process.command_args", "KNELL_CMDLINE", arguments},
    {"knell.args_truncated", "KNELL_ARGS_TRUNCATED", [](Event e) { return flag(e, KNELL_FLAG_ARGS_TRUNCATED); }},
    {"process.working_directory", "KNELL_CWD", [](Event e) { return text(e.cwd); }},
    {"process.real_user.id", "KNELL_UID", [](Event e) { return number_if(has(e, KNELL_HAS_UID), e.uid); }},
    {"knell.gid", "KNELL_GID", [](Event e) { return number_if(has(e, KNELL_HAS_GID), e.gid); }},
    {"process.real_user.name", "KNELL_USER", [](Event e) { return text(e.user); }},
    {"knell.cgroup", "KNELL_CGROUP", [](Event e) { return text(e.cgroup); }},
    {"knell.unit", "KNELL_UNIT", [](Event e) { return text(e.unit); }},
    {"container.id", "KNELL_CONTAINER_ID", [](Event e) { return text(e.container_id); }},
    {"knell.tty", "KNELL_TTY", [](Event e) { return text(e.tty); }},
    // exit
    {"process.exit.code", "KNELL_EXIT_CODE", [](Event e) -> Value {
       const auto code = exit_code(e);
       return number_if(code.has_value(), code.value_or(0));
     }},
    {"knell.ended", "KNELL_ENDED", ended_text},
    {"knell.details_lost", "KNELL_DETAILS_LOST", [](Event e) { return flag(e, KNELL_FLAG_DETAILS_LOST); }},
    {"knell.signal", "KNELL_SIGNAL", signal_text},
    {"knell.core_dumped", "KNELL_CORE_DUMPED", core_dumped},
    {"error.type", "", error_type},
    {"", "EXIT_CODE", systemd_code},
    {"", "EXIT_STATUS", systemd_status},
    {"knell.duration_ns", "KNELL_DURATION_NS", [](Event e) {
       return number_if(has(e, KNELL_HAS_DURATION), static_cast<int64_t>(e.duration_ns));
     }},
    {"knell.killed_by.cause", "KNELL_KILLED_BY_CAUSE", cause},
    {"knell.killed_by.pid", "KNELL_KILLED_BY_PID", [](Event e) { return number_if(has(e, KNELL_HAS_KILLER_PID), e.killed_by.pid); }},
    {"knell.killed_by.comm", "KNELL_KILLED_BY_COMM", [](Event e) { return text(e.killed_by.comm); }},
    {"knell.killed_by.uid", "KNELL_KILLED_BY_UID", [](Event e) { return number_if(has(e, KNELL_HAS_KILLER_UID), e.killed_by.uid); }},
    {"knell.killed_by.unit", "KNELL_KILLED_BY_UNIT", [](Event e) { return text(e.killed_by.unit); }},
    {"knell.killed_by.parent_pid", "KNELL_KILLED_BY_PPID", [](Event e) { return number_if(has(e, KNELL_HAS_KILLER_PPID), e.killed_by.parent_pid); }},
    {"knell.killed_by.parent_comm", "KNELL_KILLED_BY_PARENT_COMM", [](Event e) { return text(e.killed_by.parent_comm); }},
    {"knell.killed_by.memory_cgroup", "KNELL_MEMORY_CGROUP", [](Event e) { return text(e.killed_by.memory_cgroup); }},
    {"knell.last_signal.signal", "KNELL_LAST_SIGNAL", last_signal},
    {"knell.last_signal.pid", "KNELL_LAST_SIGNAL_PID", [](Event e) { return number_if(has(e, KNELL_HAS_LAST_SIGNAL_PID), e.last_signal.pid); }},
    {"knell.last_signal.comm", "KNELL_LAST_SIGNAL_COMM", [](Event e) { return text(e.last_signal.comm); }},
    {"knell.last_signal.uid", "KNELL_LAST_SIGNAL_UID", [](Event e) { return number_if(has(e, KNELL_HAS_LAST_SIGNAL_UID), e.last_signal.uid); }},
    {"knell.last_signal.parent_comm", "KNELL_LAST_SIGNAL_PARENT_COMM", [](Event e) { return text(e.last_signal.parent_comm); }},
    {"knell.last_signal.ago_ns", "KNELL_LAST_SIGNAL_AGO_NS", [](Event e) { return number_if(has(e, KNELL_HAS_LAST_SIGNAL), static_cast<int64_t>(e.last_signal.ago_ns)); }},
    // the other types
    {"knell.child_pid", "KNELL_CHILD_PID", [](Event e) { return number_if(is(e, KNELL_EVENT_FORK), e.child_pid); }},
    {"knell.child_id", "KNELL_CHILD_ID", [](Event e) { return id(e.child_id); }},
    {"knell.ruid", "KNELL_RUID", [](Event e) { return number_if(is(e, KNELL_EVENT_UID), e.ruid); }},
    {"process.user.id", "KNELL_EUID", [](Event e) { return number_if(is(e, KNELL_EVENT_UID), e.euid); }},
    {"knell.rgid", "KNELL_RGID", [](Event e) { return number_if(is(e, KNELL_EVENT_GID), e.rgid); }},
    {"knell.egid", "KNELL_EGID", [](Event e) { return number_if(is(e, KNELL_EVENT_GID), e.egid); }},
    {"knell.tracer_pid", "KNELL_TRACER_PID", [](Event e) { return number_if(is(e, KNELL_EVENT_PTRACE), e.tracer_pid); }},
    {"knell.new_comm", "KNELL_NEW_COMM", [](Event e) { return text(e.new_comm); }},
    {"knell.count", "KNELL_LOST_COUNT", [](Event e) { return number_if(has(e, KNELL_HAS_COUNT), static_cast<int64_t>(e.lost_count)); }},
    {"knell.exact", "KNELL_LOST_EXACT", [](Event e) { return flag(e, KNELL_FLAG_EXACT); }},
    {"knell.types", "KNELL_LOST_TYPES", lost_types},
};
// clang-format on

std::string process_text(const knell_string& comm, int32_t pid) {
  const std::string name = comm.data != nullptr ? printable(view(comm)) : "process";
  return pid > 0 ? fmt::format("{}[{}]", name, pid) : name;
}

std::string lost_text(Event e) {
  const std::string types = events_text(e.lost_types);
  if (!has(e, KNELL_HAS_COUNT))
    return fmt::format("an unknown number of events was lost ({})", types);
  return fmt::format("{}{} events were lost ({})",
                     (e.flags & KNELL_FLAG_EXACT) != 0 ? "" : "up to ", e.lost_count, types);
}

std::string killer_text(Event e) {
  if (!has(e, KNELL_HAS_KILLER)) return "";
  if (e.killed_by.cause == KNELL_CAUSE_OOM) return ", out of memory";
  if (e.killed_by.cause == KNELL_CAUSE_KERNEL) return " by the kernel";
  return " by " + process_text(e.killed_by.comm, e.killed_by.pid);
}

std::string what_happened(Event e) {
  switch (e.type) {
    case KNELL_EVENT_EXIT: {
      std::string how = ended(e);
      if (how.ends_with(" oom")) how.resize(how.size() - 4);  // killer_text() has it in words
      if (how == "unknown") how = "ended, status unknown";
      return how + killer_text(e);
    }
    case KNELL_EVENT_FORK:
      return fmt::format("forked {}", e.child_pid);
    case KNELL_EVENT_COMM:
      return fmt::format("is now named {}", printable(view(e.new_comm)));
    default:
      return std::string(type_name(e.type));
  }
}

}  // namespace

std::span<const Field> fields() { return kFields; }

Severity severity_of(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return Severity::kWarning;
  if (event.type == KNELL_EVENT_COREDUMP) return Severity::kError;
  if (event.type != KNELL_EVENT_EXIT) return Severity::kInfo;
  switch (ending_of(event)) {
    case Ending::kCore:
    case Ending::kOom:
      return Severity::kError;
    case Ending::kNonzero:
    case Ending::kSignal:
      return Severity::kWarning;
    case Ending::kOk:
    case Ending::kUnknown:
      break;
  }
  return Severity::kInfo;
}

std::string summary_of(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return lost_text(event);
  std::string out = process_text(event.comm, event.pid) + ": " + what_happened(event);
  if (event.unit.size > 0) out += ", " + printable(view(event.unit));
  if ((event.has & KNELL_HAS_DURATION) != 0)
    out += ", after " + duration_text(std::chrono::nanoseconds(event.duration_ns));
  return out;
}

}  // namespace knell::exporter
