// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/storm.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "bench/frame/program_image.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr std::pair<StormKind, std::string_view> kNames[] = {{StormKind::kVfork, "vfork"},
                                                             {StormKind::kFork, "fork"},
                                                             {StormKind::kExec, "exec"},
                                                             {StormKind::kThread, "thread"},
                                                             {StormKind::kBurst, "burst"}};
constexpr size_t kThreadStackBytes = 64 << 10;  // enough to end

bool reap(pid_t pid) {
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(pid, nullptr, 0);
  } while (reaped < 0 && errno == EINTR);
  return reaped == pid;
}

// Out of line, each: what a vfork's child could clobber is better not in a caller's registers.
[[gnu::noinline]] pid_t vfork_one(int status) {
  const pid_t pid = ::vfork();  // NOLINT(bugprone-unsafe-functions): it is what is measured
  if (pid == 0) ::_exit(status);
  return pid;
}

// The child shares our memory until it executes, so it can say itself that it could not.
[[gnu::noinline]] pid_t exec_one(const char* path, char* const* words) {
  volatile int error = 0;
  const pid_t pid = ::vfork();  // NOLINT(bugprone-unsafe-functions): it is what is measured
  if (pid == 0) {
    ::execve(path, words, environ);
    error = errno;
    ::_exit(127);
  }
  if (pid < 0 || error == 0) return pid;
  (void)reap(pid);
  errno = error;
  return -1;
}

pid_t fork_one(int status) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(status);
  return pid;
}

// A child that ends with `status` when the last writer of the pipe `gate` is gone.
pid_t hold_one(std::array<int, 2> gate, int status) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::close(gate[1]);
  char nothing = 0;
  while (::read(gate[0], &nothing, 1) < 0 && errno == EINTR) {
  }
  ::_exit(status);
}

void* end_at_once(void* nothing) { return nothing; }

}  // namespace

std::string_view storm_name(StormKind kind) {
  return std::ranges::find(kNames, kind, &std::pair<StormKind, std::string_view>::first)->second;
}

std::optional<StormKind> storm_of(std::string_view name) {
  for (const auto& [kind, its_name] : kNames) {
    if (its_name == name) return kind;
  }
  return std::nullopt;
}

Outcome<pid_t> end_one(int status) {
  const pid_t pid = vfork_one(status);
  if (pid < 0 || !reap(pid)) return std::unexpected(errno_error("make a process").error());
  return pid;
}

Storm::Storm(StormKind kind, size_t count, size_t failing_one_in, std::string program)
    : kind_(kind),
      count_(count),
      failing_one_in_(failing_one_in),
      program_(std::move(program)),
      is_tiny_(program_.empty()) {}

Storm::~Storm() { end_held(); }

int Storm::status_of(size_t index) const {
  return failing_one_in_ != 0 && index % failing_one_in_ == failing_one_in_ - 1 ? 1 : 0;
}

Outcome<void> Storm::prepare() {
  if (kind_ == StormKind::kExec && program_.empty()) {
    KNELL_ASSIGN(program_, tiny_program());
  }
  if (kind_ != StormKind::kBurst) return {};
  end_held();
  std::array<int, 2> gate{};
  if (::pipe2(gate.data(), O_CLOEXEC) != 0)
    return std::unexpected(errno_error("make a pipe").error());
  release_ = gate[1];
  for (size_t i = 0; i < count_ && !interrupted(); ++i) {
    const pid_t pid = hold_one(gate, status_of(i));
    if (pid < 0) break;
    held_.push_back(pid);
  }
  ::close(gate[0]);
  if (held_.size() < count_ && !interrupted())
    return std::unexpected(errno_error("hold that many processes").error());
  return {};
}

void Storm::end_held() {
  if (release_ >= 0) ::close(std::exchange(release_, -1));
  for (const pid_t pid : held_) (void)reap(pid);
  held_.clear();
}

Outcome<Blow> Storm::blow() {
  Blow blow;
  blow.execs = kind_ == StormKind::kExec;
  blow.processes.reserve(kind_ == StormKind::kThread ? 0 : count_);
  blow.begin_ns = now_ns();
  if (kind_ == StormKind::kThread) {
    KNELL_TRY(blow_threads(blow));
  } else if (kind_ == StormKind::kBurst) {
    KNELL_TRY(blow_held(blow));
  } else {
    KNELL_TRY(blow_processes(blow));
  }
  blow.end_ns = now_ns();
  KNELL_ASSIGN(blow.marker, end_one(kMarkerStatus));
  return blow;
}

Outcome<void> Storm::blow_processes(Blow& blow) {
  std::array<std::string, 3> words{"true", "of knell-bench", "failing"};
  // tiny.c's status is the number of words behind the second; another program's is its own affair.
  char* const succeeding[] = {words[0].data(), words[1].data(), nullptr};
  char* const failing[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  for (size_t i = 0; i < count_ && !interrupted(); ++i) {
    const int status = kind_ == StormKind::kExec && !is_tiny_ ? 0 : status_of(i);
    pid_t pid = 0;
    if (kind_ == StormKind::kVfork) pid = vfork_one(status);
    if (kind_ == StormKind::kFork) pid = fork_one(status);
    if (kind_ == StormKind::kExec)
      pid = exec_one(program_.c_str(), status == 0 ? succeeding : failing);
    if (pid < 0 || !reap(pid)) {
      const bool exec = kind_ == StormKind::kExec;
      return std::unexpected(
          errno_error(exec ? "execute " + program_ : std::string("make a process")).error());
    }
    blow.processes.push_back({pid, status});
  }
  blow.count = blow.processes.size();
  return {};
}

Outcome<void> Storm::blow_threads(Blow& blow) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  int error = 0;
  for (; blow.count < count_ && error == 0 && !interrupted(); ++blow.count) {
    pthread_t thread{};
    error = ::pthread_create(&thread, &attributes, end_at_once, nullptr);
    if (error == 0) ::pthread_join(thread, nullptr);
  }
  ::pthread_attr_destroy(&attributes);
  if (error != 0) return std::unexpected(make_error(error, "make a thread").error());
  return {};
}

Outcome<void> Storm::blow_held(Blow& blow) {
  blow.count = held_.size();
  for (size_t i = 0; i < held_.size(); ++i) blow.processes.push_back({held_[i], status_of(i)});
  blow.begin_ns = now_ns();  // the list is not the storm's
  end_held();
  return {};
}

}  // namespace knell::bench
