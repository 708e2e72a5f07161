// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace knell::cli {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Outcome<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0)
    return failed("cannot create a pipe: {}", std::strerror(errno));
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

ssize_t read_all(int fd, void* data, size_t size) {
  ssize_t n;
  do {
    n = ::read(fd, data, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

// A service manager names its main process in these variables, so that only that process acts on
// them. CMD takes the place of the main process.
void name_main_process(const char* variable, pid_t before) {
  const char* value = ::getenv(variable);
  if (value != nullptr && fmt::to_string(before) == value)
    ::setenv(variable, fmt::to_string(::getpid()).c_str(), 1);
}

[[noreturn]] void run_child(int go, int failure, int traceable, char* const* words, pid_t parent,
                            const BlockedSignals& signals) {
  // For KNELL_VIA_PTRACE, whose tracer is a child of `parent`; fails where Yama is not in use.
  ::prctl(PR_SET_PTRACER, parent);
  (void)!::write(traceable, "", 1);
  char byte = 0;
  if (read_all(go, &byte, 1) != 1) ::_exit(kKnellFailed);
  // by now it is traced or will never be; the permission would outlive execve(2)
  ::prctl(PR_SET_PTRACER, 0);
  for (const char* variable : {"LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"})
    name_main_process(variable, parent);
  signals.restore();
  ::execvp(words[0], words);
  const int error = errno;
  (void)!::write(failure, &error, sizeof error);
  ::_exit(error == ENOENT ? kNotFound : kCannotRun);
}

}  // namespace

Outcome<Child> Child::create(const std::vector<std::string>& command,
                             const BlockedSignals& signals) {
  KNELL_ASSIGN(Pipe go, make_pipe());
  KNELL_ASSIGN(Pipe failure, make_pipe());
  KNELL_ASSIGN(Pipe traceable, make_pipe());
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return failed("cannot fork: {}", std::strerror(errno));
  if (pid == 0) {
    go.write.reset();  // else read() would not return when the parent closes its end
    run_child(go.read.get(), failure.write.get(), traceable.write.get(), words.data(), parent,
              signals);
  }
  return Child(pid, std::move(go.write), std::move(failure.read), std::move(traceable.read));
}

void Child::wait_until_traceable() const {
  char byte;
  (void)read_all(traceable_.get(), &byte, 1);
}

Child::~Child() {
  if (pid_ < 0 || !go_) return;
  go_.reset();
  ::kill(pid_, SIGCONT);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::go() {
  const char byte = 1;
  (void)!::write(go_.get(), &byte, 1);
  go_.reset();
}

int Child::exec_error() const {
  int error = 0;
  return read_all(failure_.get(), &error, sizeof error) == sizeof error ? error : 0;
}

}  // namespace knell::cli
