// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/nested.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "base/proc_stat.h"
#include "base/result.h"

namespace knell::test {
namespace {

// fork() into a new pid namespace.
pid_t fork_first() {
  return static_cast<pid_t>(
      ::syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

// Each process reports that it exists, and creates the next one in the next round of the loop.
[[noreturn]] void be_firsts(size_t count, int socket) {
  do {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!::send(socket, "x", 1, 0);
  } while (--count > 0 && fork_first() == 0);
  for (;;) ::pause();
}

// Reads a byte from the socket, and returns the sender's pid in the pid namespace of this process.
pid_t sender(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (::recvmsg(socket, &message, 0) != 1) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_CREDENTIALS) return -1;
  ucred credentials{};
  std::memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
  return credentials.pid;
}

std::string namespace_of(pid_t pid) { return "/proc/" + std::to_string(pid) + "/ns/pid"; }

}  // namespace

std::string lacks_pid_namespaces() {
  const pid_t pid = fork_first();
  if (pid == 0) ::_exit(0);
  if (pid < 0) return "may not make a pid namespace";
  ::waitpid(pid, nullptr, 0);
  return {};
}

Nested::Nested(size_t depth) : depth_(depth) {
  int ends[2];
  KNELL_CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd ours(ends[0]), theirs(ends[1]);
  const int on = 1;
  KNELL_CHECK(::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
  const timeval patience{kPatience.count(), 0};
  KNELL_CHECK(::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  const pid_t first = fork_first();
  if (first == 0) be_firsts(depth, theirs.get());
  while (first > 0 && firsts_.size() < depth) {
    const pid_t pid = sender(ours.get());
    if (pid <= 0) return;
    firsts_.push_back(pid);
  }
}

// The death of the first process ends all processes in its namespace.
Nested::~Nested() {
  if (firsts_.empty()) return;
  ::kill(firsts_[0], SIGKILL);
  ::waitpid(firsts_[0], nullptr, 0);
}

uint32_t Nested::inode(size_t level) const {
  struct stat ns{};
  KNELL_CHECK(::stat(namespace_of(first(level)).c_str(), &ns) == 0);
  return static_cast<uint32_t>(ns.st_ino);
}

Inside::Inside(pid_t in_namespace_of, const std::function<int()>& body)
    : helper_(Child::fork([&] {
        const UniqueFd ns(::open(namespace_of(in_namespace_of).c_str(), O_RDONLY | O_CLOEXEC));
        if (::setns(ns.get(), CLONE_NEWPID) != 0) return 126;
        const pid_t pid = ::fork();
        if (pid == 0) {
          ::prctl(PR_SET_PDEATHSIG, SIGKILL);
          ::_exit(body());
        }
        (void)!::write(told_.write.get(), &pid, sizeof pid);
        int status = -1;
        ::waitpid(pid, &status, 0);
        (void)!::write(told_.write.get(), &status, sizeof status);
        return 0;
      })) {
  told_.write.reset();
  KNELL_CHECK(::read(told_.read.get(), &pid_, sizeof pid_) == sizeof pid_);
}

std::optional<int> Inside::wait(const Deadline& deadline) {
  if (!helper_.wait(deadline)) return std::nullopt;
  int status = -1;
  KNELL_CHECK(::read(told_.read.get(), &status, sizeof status) == sizeof status);
  return status;
}

std::vector<event::NamespacePid> numbers_in_proc(pid_t tid, const Nested& nested) {
  std::vector<event::NamespacePid> numbers;
  for (const std::string& line : lines_of("/proc/" + std::to_string(tid) + "/status")) {
    if (!line.starts_with("NSpid:")) continue;
    std::istringstream words(line.substr(6));
    int32_t number = 0;
    words >> number;  // the pid in the pid namespace of this process
    while (words >> number) numbers.push_back({nested.inode(numbers.size() + 1), number});
  }
  return numbers;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const pid_t one = std::atoi(entry.path().filename().c_str());
    const auto stat = one > 0 ? read_proc_stat(one) : std::nullopt;
    if (stat && stat->ppid == pid) children.push_back(one);
  }
  return children;
}

}  // namespace knell::test
