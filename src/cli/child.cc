// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <knell/knell.hpp>

namespace knell::cli {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Outcome<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0)
    return failed("cannot make a pipe: {}", std::strerror(errno));
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

ssize_t read_all(int fd, void* data, size_t size) {
  ssize_t n;
  do {
    n = ::read(fd, data, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

[[noreturn]] void be_the_child(int go, int failure, char* const* words, const Signals& signals) {
  char byte = 0;
  if (read_all(go, &byte, 1) != 1) ::_exit(kKnellFailed);
  signals.restore();
  ::execvp(words[0], words);
  const int error = errno;
  (void)!::write(failure, &error, sizeof error);
  ::_exit(error == ENOENT ? kNotFound : kCannotRun);
}

}  // namespace

Outcome<Child> Child::create(const std::vector<std::string>& command, const Signals& signals) {
  KNELL_ASSIGN(Pipe go, make_pipe());
  KNELL_ASSIGN(Pipe failure, make_pipe());
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return failed("cannot fork: {}", std::strerror(errno));
  if (pid == 0) {
    go.write.reset();  // or the end of go() would never be seen
    be_the_child(go.read.get(), failure.write.get(), words.data(), signals);
  }
  return Child(pid, std::move(go.write), std::move(failure.read), command.front());
}

Child::~Child() {
  if (pid_ < 0 || !go_) return;
  go_.reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Outcome<void> Child::go() {
  const char byte = 1;
  (void)!::write(go_.get(), &byte, 1);
  int error = 0;
  const ssize_t n = read_all(failure_.get(), &error, sizeof error);
  if (n != sizeof error) {
    go_.reset();
    return {};
  }
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return fail(error == ENOENT ? kNotFound : kCannotRun,
              fmt::format("cannot run {}: {}", printable(name_), std::strerror(error)));
}

}  // namespace knell::cli
