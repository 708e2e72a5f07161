// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/proc_stat.h"
#include "base/result.h"
#include "support/lives.h"

namespace knell::test {

namespace {

std::string beside_this_executable(const std::string& name) {
  std::error_code error;
  return (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name).string();
}

std::string from_environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

// The descriptors passed for 0..2 must not be 0..2 themselves, since a later dup2 would overwrite
// them: tests pass only higher ones.
void give(int fd, int as) {
  if (fd >= 0 && ::dup2(fd, as) < 0) ::_exit(126);
}

}  // namespace

Pipe make_pipe() {
  int fds[2];
  KNELL_CHECK(::pipe2(fds, O_CLOEXEC) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Child Child::fork(const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  const uint64_t from_ns = monotonic_now_ns();
  const pid_t pid = ::fork();
  KNELL_CHECK(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);  // the parent died before prctl() was called
    ::_exit(body());
  }
  note_birth_of_child(pid, from_ns);
  return Child(pid);
}

Child Child::spawn(const std::vector<std::string>& words, const Stdio& stdio) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  return fork([&] {
    give(stdio.in, STDIN_FILENO);
    give(stdio.out, STDOUT_FILENO);
    give(stdio.err, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    return 127;
  });
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  note_reaped(pid_, monotonic_now_ns());
}

void Child::kill(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

std::optional<int> Child::wait(const Deadline& deadline) {
  if (pid_ <= 0) return std::nullopt;
  const UniqueFd over(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  KNELL_CHECK(static_cast<bool>(over));
  pollfd waiting{over.get(), POLLIN, 0};
  int ready;
  while ((ready = ::poll(&waiting, 1, deadline.left_ms())) < 0 && errno == EINTR) {
  }
  if (ready <= 0) return std::nullopt;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) KNELL_CHECK(errno == EINTR);
  note_reaped(pid_, monotonic_now_ns());
  pid_ = -1;
  return status;
}

std::string victim(const std::string& name) {
  return from_environment("KNELL_VICTIM_DIR", beside_this_executable("tests")) + "/" + name;
}

std::string knell_binary() {
  return from_environment("KNELL_BIN", beside_this_executable("knell"));
}

uint64_t start_ticks(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  // The name may contain any characters, parentheses too
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(end_of_name + 1));
  std::string field;
  for (int number = 3; number <= 22; number++) fields >> field;
  return std::strtoull(field.c_str(), nullptr, 10);
}

std::string link_of(const std::string& path) {
  std::error_code error;
  return std::filesystem::read_symlink(path, error).string();
}

bool wait_for_exec(pid_t pid, const std::string& path) {
  std::error_code error;
  const std::string program = std::filesystem::canonical(path, error).string();
  for (const Deadline deadline; !deadline.passed(); ::sched_yield()) {
    // The link changes in the middle of an exec. If the process sleeps, it already runs the
    // program.
    if (link_of("/proc/" + std::to_string(pid) + "/exe") != program) continue;
    if (const auto stat = read_proc_stat(pid); stat && stat->state == 'S') return true;
  }
  return false;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = from_environment("TMPDIR", "/tmp") + "/knell-test-XXXXXX";
  KNELL_CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace knell::test
