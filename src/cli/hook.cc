// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/hook.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <knell/knell.hpp>
#include <utility>

#include "cli/find_program.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

void append_text(std::vector<std::string>& out, std::string_view name, const knell_string& value) {
  if (value.data == nullptr) return;
  const std::string_view bytes = view(value);
  out.push_back(fmt::format("KNELL_{}={}", name, bytes.substr(0, bytes.find('\0'))));
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
    out.push_back(fmt::format("KNELL_{}={}", name, value));
  };
  set("TYPE", knell_type_name(event.type));
  set("SEQ", event.seq);
  if (event.type == KNELL_EVENT_LOST) {
    if ((event.has & KNELL_HAS_COUNT) != 0) set("LOST", event.lost_count);
    return out;
  }
  set("PID", event.pid);
  if ((event.has & KNELL_HAS_PPID) != 0) set("PPID", event.ppid);
  if (const std::string id = text(event.id); !id.empty()) set("ID", id);
  append_text(out, "COMM", event.comm);
  append_text(out, "PARENT_COMM", event.parent_comm);
  append_text(out, "EXE", event.exe);
  append_text(out, "CWD", event.cwd);
  if (event.args.data != nullptr) set("ARGS_JSON", json_member(json, "args"));
  append_text(out, "USER", event.user);
  append_text(out, "UNIT", event.unit);
  append_text(out, "CGROUP", event.cgroup);
  append_text(out, "CONTAINER_ID", event.container_id);
  if ((event.has & KNELL_HAS_UID) != 0) set("UID", event.uid);
  if (event.type == KNELL_EVENT_FORK) set("CHILD_PID", event.child_pid);
  if (event.type != KNELL_EVENT_EXIT) return out;
  set("ENDED", ended(event));
  if (const std::string killer = killer_words(event); !killer.empty()) set("KILLED_BY", killer);
  if ((event.has & KNELL_HAS_DURATION) != 0) set("DURATION_NS", event.duration_ns);
  if ((event.has & KNELL_HAS_STATUS) == 0) return out;
  if (WIFEXITED(event.wait_status)) set("EXIT_CODE", WEXITSTATUS(event.wait_status));
  if (WIFSIGNALED(event.wait_status)) {
    const std::string how = ended(event);
    set("SIGNAL", how.substr(0, how.find(' ')));
  }
  return out;
}

}  // namespace

Outcome<Hook> Hook::create(std::vector<std::string> command, const Signals& signals) {
  const auto found = find_program(command.front());
  if (!found) return usage("--exec: {}", found.error().message());
  return Hook(std::move(command), *found, signals);
}

void Hook::add(const knell_event& event) {
  if (limit_ != 0) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= minute_ends_) {
      end_minute();
      minute_ends_ = now + std::chrono::minutes(1);
    }
    if (in_minute_ == limit_) {
      ++skipped_;
      return;
    }
    ++in_minute_;
  }
  Run run;
  append_json_line(run.json, event);
  run.variables = variables_of(event, run.json);
  waiting_.push_back(std::move(run));
}

void Hook::end_minute() {
  in_minute_ = 0;
  const uint64_t skipped = std::exchange(skipped_, 0);
  if (skipped == 0) return;
  waiting_.push_back({fmt::format("{{\"type\":\"summary\",\"skipped\":{}}}\n", skipped),
                      {"KNELL_TYPE=summary", fmt::format("KNELL_SKIPPED={}", skipped)}});
}

std::optional<std::chrono::steady_clock::time_point> Hook::minute_ends() const {
  return skipped_ == 0 ? std::nullopt : std::optional(minute_ends_);
}

void Hook::reap_and_start() {
  if (skipped_ != 0 && std::chrono::steady_clock::now() >= minute_ends_) end_minute();
  reap();
  while (running_.size() < kMostRunning && !waiting_.empty()) {
    start(waiting_.front());
    waiting_.pop_front();
  }
}

void Hook::reap() {
  for (auto it = running_.begin(); it != running_.end();) {
    int status = 0;
    const pid_t gone = ::waitpid(*it, &status, WNOHANG);
    if (gone == 0) {
      ++it;
      continue;
    }
    if (gone < 0 || status != 0) ++failed_;
    it = running_.erase(it);
  }
}

// The JSON is passed in a memory file: writing to it never blocks, however long the JSON is and
// however slowly CMD reads. A pipe could block us.
void Hook::start(const Run& run) {
  ++runs_;
  UniqueFd input(::memfd_create("knell-event", MFD_CLOEXEC));
  int error = input ? 0 : errno;
  if (error == 0) {
    const ssize_t n = ::pwrite(input.get(), run.json.data(), run.json.size(), 0);
    if (n != static_cast<ssize_t>(run.json.size())) error = n < 0 ? errno : ENOSPC;
  }
  pid_t pid = 0;
  if (error == 0) error = spawn(input.get(), run, pid);
  if (error == 0) {
    running_.insert(pid);
    return;
  }
  ++failed_;
  if (!failure_reported_)
    message("knell: --exec: cannot run {}: {}\n", command_.front(), std::strerror(error));
  failure_reported_ = true;
}

int Hook::spawn(int input, const Run& run, pid_t& pid) const {
  std::vector<char*> words;
  words.reserve(command_.size() + 1);
  for (const std::string& word : command_) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::vector<char*> environment;
  for (char** e = environ; *e != nullptr; ++e) {
    if (std::strncmp(*e, "KNELL_", 6) != 0) environment.push_back(*e);
  }
  for (const std::string& variable : run.variables)
    environment.push_back(const_cast<char*>(variable.c_str()));
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const sigset_t defaults = signals_->changed();
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error =
      ::posix_spawn(&pid, path_.c_str(), &actions, &attributes, words.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

size_t Hook::drop_waiting() {
  const size_t count = waiting_.size();
  waiting_.clear();
  return count;
}

std::string Hook::summary() const {
  std::string text = fmt::format("{} run{} of {}, {} failed", runs_, runs_ == 1 ? "" : "s",
                                 command_.front(), failed_);
  if (!running_.empty()) text += fmt::format(", {} still running", running_.size());
  return text;
}

}  // namespace knell::cli
