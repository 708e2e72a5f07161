// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A program that prints a line for each event. Its output goes into a memory file, which costs the
// program about as much as a pipe. A program that buffers its output is considered to listen once
// it uses no more CPU time, and prints the rest when SIGINT makes it flush.
#include <knell/cn_proc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/unique_fd.h"
#include "bench/harness/contender.h"

namespace knell::bench {
namespace {

constexpr uint64_t kStartPatienceNs = 20 * kSecondNs;
constexpr uint64_t kQuietPatienceNs = 5 * kSecondNs;
constexpr uint64_t kStopPatienceNs = 2 * kSecondNs;

// A line that begins with `prefix` and contains `key`; from there on it is `format`, for sscanf: %d
// the pid, %n at its end.
struct LinePattern {
  std::string_view program;
  const char *prefix, *key, *format;
  uint32_t type;
};
constexpr LinePattern kPatterns[] = {
    {"forkstat", "", "", "%*s exit %d%n", KNELL_EVENT_EXIT},
    {"forkstat", "", "", "%*s exec %d%n", KNELL_EVENT_EXEC},
    {"forkstat", "", "", "%*s fork %d child%n", KNELL_EVENT_FORK},
    {"extrace", "", "", "%d+%n", KNELL_EVENT_EXEC},
    {"extrace", "", "", "%d-%n", KNELL_EVENT_EXIT},
    {"exitsnoop", "", "", "%*16c%d%n", KNELL_EVENT_EXIT},  // a name in 16 columns
    {"execsnoop", "", "", "%*16c%d%n", KNELL_EVENT_EXEC},
    {"knell", "{\"type\":\"exit\"", "\"pid\":", "\"pid\":%d%n", KNELL_EVENT_EXIT},
    {"knell", "{\"type\":\"exec\"", "\"pid\":", "\"pid\":%d%n", KNELL_EVENT_EXEC},
    {"knell", "{\"type\":\"fork\"", "\"child_pid\":", "\"child_pid\":%d%n", KNELL_EVENT_FORK},
};

// The output from byte `from` on, without an incomplete last line.
std::string lines_of(int fd, size_t from) {
  std::ifstream file(fmt::format("/proc/self/fd/{}", fd));
  std::ostringstream text;
  file.seekg(static_cast<std::streamoff>(from));
  text << file.rdbuf();
  return text.str().substr(0, text.str().rfind('\n') + 1);
}

// In the child: mounts the file systems that tracing programs need, in a mount namespace of its
// own.
void mount_tracefs() {
  if (::unshare(CLONE_NEWNS) != 0) return;
  (void)::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  (void)::mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, nullptr);
  (void)::mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
}

class Program final : public Contender {
 public:
  Program(std::string name, std::vector<std::string> command, uint32_t mask)
      : Contender(std::move(name)), command_(std::move(command)), mask_(mask) {
    const bool is_rival =
        std::ranges::find(kPatterns, command_[0], &LinePattern::program) != std::end(kPatterns);
    format_ = is_rival ? command_[0] : "knell";
    is_prompt_ = !is_rival;
  }

  Result<void> start(const Cores& cores) override {
    output_.reset(::memfd_create("output", MFD_CLOEXEC));
    errors_.reset(::memfd_create("errors", MFD_CLOEXEC));
    if (!output_ || !errors_) return errno_error("create a memfd");
    KNELL_TRY(fork_body(cores, [this] { execute(); }));
    if (!await_listening()) {
      const std::string errors = lines_of(errors_.get(), 0);
      return refuse(ENOTSUP, "{}",
                    errors.empty() ? "the program does not start to listen"
                                   : errors.substr(0, errors.find('\n')));
    }
    return {};
  }

  void stop() override {
    if (pid() <= 0) return;
    ::kill(pid(), SIGINT);
    if (!await_exit(kStopPatienceNs)) kill_now();
  }

 protected:
  void start_recording() override { first_ = read_to_ = lines_of(output_.get(), 0).size(); }

  std::optional<uint64_t> handled(pid_t marker) override {
    if (!is_prompt_) return std::nullopt;
    std::istringstream lines(lines_of(output_.get(), read_to_));
    bool found = false;
    for (std::string line; std::getline(lines, line);) {
      read_to_ += line.size() + 1;
      const auto event = parse_line(format_, line);
      found |= event && event->type == KNELL_EVENT_EXIT && event->pid == marker;
    }
    return found ? std::optional(now_ns()) : std::nullopt;
  }

  std::vector<Recording> recordings() override {
    Recording recording{.mask = mask_};
    std::istringstream lines(lines_of(output_.get(), first_));
    for (std::string line; std::getline(lines, line);) {
      if (const auto event = parse_line(format_, line)) recording.events.push_back(*event);
    }
    return {recording};
  }

 private:
  void execute() const {
    if (!is_prompt_) mount_tracefs();
    ::dup2(output_.get(), STDOUT_FILENO);
    ::dup2(errors_.get(), STDERR_FILENO);
    std::vector<char*> words;
    for (const std::string& word : command_) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(find_program(command_.front()).c_str(), words.data());
    ::_exit(127);
  }

  bool await_listening() {
    // Other processes of the machine may keep the program busy for ever; when the wait ends it
    // listens.
    if (!is_prompt_) return await_quiet(kQuietPatienceNs) || !(await_exit(0) || interrupted());
    for (const uint64_t end = now_ns() + kStartPatienceNs; lines_of(output_.get(), 0).empty();) {
      if (!run_storm({.count = 0}) || await_exit(0) || interrupted() || now_ns() > end)
        return false;
      ::usleep(2000);
    }
    return true;
  }

  std::vector<std::string> command_;
  uint32_t mask_;
  std::string format_;
  bool is_prompt_ = false;  // it prints each event at once, not when its buffer is full
  UniqueFd output_, errors_;
  size_t first_ = 0;    // offset in the output at which the recording begins
  size_t read_to_ = 0;  // offset in the output up to which handled() has read
};

}  // namespace

std::optional<LoggedEvent> parse_line(std::string_view program, const std::string& line) {
  for (const LinePattern& pattern : kPatterns) {
    if (pattern.program != program || !line.starts_with(pattern.prefix)) continue;
    const char* at = std::strstr(line.c_str(), pattern.key);
    int pid = 0;
    int end = 0;
    if (at != nullptr && std::sscanf(at, pattern.format, &pid, &end) == 1 && end > 0)
      return LoggedEvent{.type = pattern.type, .pid = pid, .delay_ns = 0};
  }
  return std::nullopt;
}

std::string find_program(std::string_view name) {
  if (name.find('/') != std::string_view::npos)
    return ::access(std::string(name).c_str(), X_OK) == 0 ? std::string(name) : std::string();
  const char* path = std::getenv("PATH");
  std::istringstream folders(
      fmt::format("{}:/usr/local/sbin:/usr/sbin:/sbin", path == nullptr ? "/usr/bin" : path));
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = fmt::format("{}/{}", folder, name);
    if (!name.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

std::unique_ptr<Contender> make_program(std::string name, std::vector<std::string> command,
                                        uint32_t mask) {
  return std::make_unique<Program>(std::move(name), std::move(command), mask);
}

}  // namespace knell::bench
