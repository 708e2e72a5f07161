// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/hook.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <knell/knell.hpp>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "cli/find_program.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

constexpr std::string_view kFront = "KNELL_";
// The variables that can be set for CMD. Those that are inherited are removed, since CMD would take
// them for values of the event.
constexpr auto kVariables = std::to_array<std::string_view>(
    {"TYPE",  "SEQ",          "LOST",   "SKIPPED",   "PID",       "PPID",        "ID",       "COMM",
     "EXE",   "PARENT_COMM",  "CWD",    "ARGS_JSON", "USER",      "UNIT",        "CGROUP",   "UID",
     "ENDED", "CONTAINER_ID", "SIGNAL", "KILLED_BY", "CHILD_PID", "DURATION_NS", "EXIT_CODE"});

// A name that is not in kVariables does not compile.
consteval std::string_view variable(std::string_view name) {
  if (std::ranges::find(kVariables, name) == kVariables.end()) throw "not in kVariables";
  return name;
}

std::string assignment(std::string_view name, const auto& value) {
  return fmt::format("{}{}={}", kFront, name, value);
}

bool is_of_event(std::string_view assigned) {
  if (!assigned.starts_with(kFront)) return false;
  assigned.remove_prefix(kFront.size());
  return std::ranges::find(kVariables, assigned.substr(0, assigned.find('='))) != kVariables.end();
}

void append_text(std::vector<std::string>& out, std::string_view name, const knell_string& value) {
  if (value.data == nullptr) return;
  const std::string_view bytes = view(value);
  out.push_back(assignment(name, bytes.substr(0, bytes.find('\0'))));
}

// "kill by 8103 bash (root)": killer_text() without the arrow.
std::string killer_words(const knell_event& event) {
  if ((event.has & KNELL_HAS_KILLER) == 0) return {};
  std::string text = killer_text(event);
  text.erase(0, text.find_first_not_of(" <-"));
  return text.substr(0, text.find("  <- "));  // of several causes only the first
}

// The main fields that are known; the JSON has all of them.
std::vector<std::string> variables_of(const knell_event& event, std::string_view json) {
  std::vector<std::string> out;
  const auto set = [&](std::string_view name, const auto& value) {
    out.push_back(assignment(name, value));
  };
  set(variable("TYPE"), knell_type_name(event.type));
  set(variable("SEQ"), event.seq);
  if (event.type == KNELL_EVENT_LOST) {
    if ((event.has & KNELL_HAS_COUNT) != 0) set(variable("LOST"), event.lost_count);
    return out;
  }
  set(variable("PID"), event.pid);
  if ((event.has & KNELL_HAS_PPID) != 0) set(variable("PPID"), event.ppid);
  if (const std::string id = text(event.id); !id.empty()) set(variable("ID"), id);
  append_text(out, variable("COMM"), event.comm);
  append_text(out, variable("PARENT_COMM"), event.parent_comm);
  append_text(out, variable("EXE"), event.exe);
  append_text(out, variable("CWD"), event.cwd);
  if (event.args.data != nullptr) set(variable("ARGS_JSON"), json_member(json, "args"));
  append_text(out, variable("USER"), event.user);
  append_text(out, variable("UNIT"), event.unit);
  append_text(out, variable("CGROUP"), event.cgroup);
  append_text(out, variable("CONTAINER_ID"), event.container_id);
  if ((event.has & KNELL_HAS_UID) != 0) set(variable("UID"), event.uid);
  if (event.type == KNELL_EVENT_FORK) set(variable("CHILD_PID"), event.child_pid);
  if (event.type != KNELL_EVENT_EXIT) return out;
  set(variable("ENDED"), ended(event));
  if (const std::string killer = killer_words(event); !killer.empty())
    set(variable("KILLED_BY"), killer);
  if ((event.has & KNELL_HAS_DURATION) != 0) set(variable("DURATION_NS"), event.duration_ns);
  if ((event.has & KNELL_HAS_STATUS) == 0) return out;
  if (WIFEXITED(event.wait_status)) set(variable("EXIT_CODE"), WEXITSTATUS(event.wait_status));
  if (WIFSIGNALED(event.wait_status)) {
    const std::string how = ended(event);
    set(variable("SIGNAL"), how.substr(0, how.find(' ')));
  }
  return out;
}

}  // namespace

Outcome<Hook> Hook::create(std::vector<std::string> command, const HookOptions& options,
                           const Signals& signals) {
  const auto found = find_program(command.front());
  if (!found) return usage("--exec: {}", found.error().message());
  return Hook(std::move(command), *found, options, signals);
}

void Hook::add(const knell_event& event) {
  const std::string cursor(view(event.cursor));
  const auto has_cursor = [&](const Event& one) { return one.cursor == cursor; };
  if (!cursor.empty() && (event.flags & KNELL_FLAG_REDELIVERED) != 0 &&
      std::ranges::any_of(events_, has_cursor))
    return;
  if (options_.events_a_minute != 0) {
    const auto now = Clock::now();
    if (now >= minute_ends_) {
      end_minute();
      minute_ends_ = now + std::chrono::minutes(1);
    }
    if (in_minute_ == options_.events_a_minute) {
      ++skipped_;
      return;
    }
    ++in_minute_;
  }
  Event one;
  append_json_line(one.json, event);
  one.variables = variables_of(event, one.json);
  one.process = text(event.id);
  one.cursor = cursor;
  events_.push_back(std::move(one));
}

void Hook::end_minute() {
  in_minute_ = 0;
  const uint64_t skipped = std::exchange(skipped_, 0);
  if (skipped == 0) return;
  Event one;
  one.json = fmt::format("{{\"type\":\"summary\",\"skipped\":{}}}\n", skipped);
  one.variables = {assignment(variable("TYPE"), "summary"),
                   assignment(variable("SKIPPED"), skipped)};
  events_.push_back(std::move(one));
}

bool Hook::busy() const { return !running_.empty() || waiting() != 0; }

std::optional<std::chrono::steady_clock::time_point> Hook::due() const {
  std::optional<Clock::time_point> next;
  const auto no_later_than = [&](Clock::time_point at) {
    if (!next || at < *next) next = at;
  };
  if (skipped_ != 0) no_later_than(minute_ends_);
  for (const Run& run : running_)
    if (run.deadline != Clock::time_point()) no_later_than(run.deadline);
  if (running_.size() >= options_.jobs) return next;
  for (const Event& event : events_)
    if (event.state == State::kWaiting && event.failures != 0) no_later_than(event.not_before);
  return next;
}

void Hook::reap_and_start() {
  if (skipped_ != 0 && Clock::now() >= minute_ends_) end_minute();
  reap();
  end_late();
  const auto now = Clock::now();
  std::unordered_set<std::string_view> busy;  // processes of which an earlier event is not done
  for (size_t i = 0; i < events_.size() && running_.size() < options_.jobs; ++i) {
    const Event& event = events_[i];
    const bool dropped = event.state == State::kWaiting && first_ + i < dropped_below_;
    if (event.state == State::kSettled || dropped) continue;
    const bool first = event.process.empty() || busy.insert(event.process).second;
    if (!first || event.state == State::kRunning || event.not_before > now) continue;
    start(first_ + i);
  }
  pop_done();
}

void Hook::reap() {
  for (size_t i = 0; i < running_.size();) {
    int status = 0;
    const pid_t gone = ::waitpid(running_[i].pid, &status, WNOHANG);
    if (gone == 0) {
      ++i;
      continue;
    }
    const uint64_t number = running_[i].event;
    running_.erase(running_.begin() + static_cast<ptrdiff_t>(i));
    on_ended(number, gone < 0 || status != 0);
  }
}

// Asks a run that takes too long to end, and then kills it.
void Hook::end_late() {
  constexpr auto kGrace = std::chrono::seconds(2);  // chosen, not measured
  const auto now = Clock::now();
  for (Run& run : running_) {
    if (run.deadline == Clock::time_point() || now < run.deadline) continue;
    ::kill(run.pid, run.asked ? SIGKILL : SIGTERM);
    run.asked = true;
    run.deadline = now + kGrace;
  }
}

void Hook::on_ended(uint64_t number, bool failed) {
  // Chosen, not measured: the last try is 5 s after the first.
  constexpr std::chrono::milliseconds kBackOff[kRetries] = {
      std::chrono::milliseconds(250), std::chrono::milliseconds(750), std::chrono::seconds(4)};
  if (failed) ++failed_;
  Event& event = events_[number - first_];
  if (failed && options_.retry && event.failures < kRetries) {
    event.not_before = Clock::now() + kBackOff[event.failures++];
    event.state = State::kWaiting;
    return;
  }
  if (failed && options_.retry) ++given_up_;
  event.state = State::kSettled;
}

void Hook::pop_done() {
  for (; !events_.empty() && events_.front().state == State::kSettled; ++first_) {
    if (!events_.front().cursor.empty()) done_ = std::move(events_.front().cursor);
    events_.pop_front();
  }
}

std::string Hook::take_done() { return std::exchange(done_, {}); }

// The JSON is passed in a memory file: writing to it never blocks, however long the JSON is and
// however slowly CMD reads. A pipe could block us.
void Hook::start(uint64_t number) {
  Event& event = events_[number - first_];
  ++runs_;
  UniqueFd input(::memfd_create("knell-event", MFD_CLOEXEC));
  int error = input ? 0 : errno;
  if (error == 0) {
    const ssize_t n = ::pwrite(input.get(), event.json.data(), event.json.size(), 0);
    if (n != static_cast<ssize_t>(event.json.size())) error = n < 0 ? errno : ENOSPC;
  }
  pid_t pid = 0;
  if (error == 0) error = spawn(input.get(), event, pid);
  if (error == 0) {
    event.state = State::kRunning;
    Run run{.pid = pid, .event = number};
    if (options_.timeout.count() != 0) run.deadline = Clock::now() + options_.timeout;
    running_.push_back(run);
    return;
  }
  if (!failure_reported_)
    message("knell: --exec: cannot run {}: {}\n", command_.front(), std::strerror(error));
  failure_reported_ = true;
  on_ended(number, true);
}

int Hook::spawn(int input, const Event& event, pid_t& pid) const {
  std::vector<char*> words;
  words.reserve(command_.size() + 1);
  for (const std::string& word : command_) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::vector<char*> environment;
  for (char** e = environ; *e != nullptr; ++e) {
    if (!is_of_event(*e)) environment.push_back(*e);
  }
  for (const std::string& variable : event.variables)
    environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const sigset_t defaults = signals_->changed();
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &signals_->mask_before());
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const int error =
      ::posix_spawn(&pid, path_.c_str(), &actions, &attributes, words.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// They stay in the queue: what a durable listener gets again must not become done.
size_t Hook::drop_waiting() {
  const size_t count = waiting();
  dropped_below_ = first_ + events_.size();
  return count;
}

size_t Hook::waiting() const {
  const uint64_t begin = dropped_below_ > first_ ? dropped_below_ - first_ : 0;
  size_t count = 0;
  for (size_t i = begin; i < events_.size(); ++i)
    count += events_[i].state == State::kWaiting ? 1 : 0;
  return count;
}

std::string Hook::summary() const {
  std::string text = fmt::format("{} run{} of {}, {} failed", runs_, runs_ == 1 ? "" : "s",
                                 command_.front(), failed_);
  if (!running_.empty()) text += fmt::format(", {} still running", running_.size());
  return text;
}

}  // namespace knell::cli
