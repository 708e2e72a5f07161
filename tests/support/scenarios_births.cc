// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include "base/result.h"
#include "support/scenarios.h"

namespace knell::test::scenario {

namespace {

// A child of this process that has been reaped.
Fate waited_for(pid_t pid, int options = 0) {
  return {.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = reap(pid, options)};
}

// fork with these flags, which glibc's fork() does not accept.
pid_t raw_clone(unsigned long flags) {
#if defined(__s390__) || defined(__CRIS__)
  return static_cast<pid_t>(::syscall(SYS_clone, 0, flags, 0, 0, 0));
#else
  return static_cast<pid_t>(::syscall(SYS_clone, flags, 0, 0, 0, 0));
#endif
}

// argv for victims/exit_with; made before a vfork, whose child must not allocate.
struct ExitWith {
  explicit ExitWith(int code) : path(victim("exit_with")), number(std::to_string(code)) {}
  std::string path, number;
  char* argv[3] = {path.data(), number.data(), nullptr};
};

// The child reaps itself: waitpid() waits for its end and then fails with ECHILD.
void wait_for_self_reaping(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) >= 0 || errno != ECHILD) KNELL_CHECK(errno == EINTR);
}

void self_reaping(std::vector<Fate>& fates, const struct sigaction& action) {
  struct sigaction before{};
  KNELL_CHECK(::sigaction(SIGCHLD, &action, &before) == 0);
  for (const int code : {3, 0}) {
    const pid_t pid = fork_running([&] { return code; });
    wait_for_self_reaping(pid);
    fates.push_back({.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = code << 8});
  }
  KNELL_CHECK(::sigaction(SIGCHLD, &before, nullptr) == 0);
}

}  // namespace

Scenario ends_with(int exit_code) {
  return [=](std::vector<Fate>& fates) {
    fates.push_back(waited_for(fork_running([&] { return exit_code; })));
  };
}

Scenario killed_by(int signal) {
  return [=](std::vector<Fate>& fates) {
    fates.push_back(waited_for(fork_running([&] {
      ::signal(signal, SIG_DFL);
      ::raise(signal);
      return 1;
    })));
  };
}

void forked_with_vfork(std::vector<Fate>& fates) {
  const pid_t pid = ::vfork();
  if (pid == 0) ::_exit(2);
  fates.push_back(waited_for(pid));
}

Scenario vfork_then_exec(int exit_code) {
  return [=](std::vector<Fate>& fates) {
    const ExitWith program(exit_code);
    const pid_t pid = ::vfork();
    if (pid == 0) {
      ::execv(program.path.c_str(), program.argv);
      ::_exit(127);
    }
    fates.push_back(waited_for(pid));
    fates.back().execs = 1;
  };
}

Scenario posix_spawned(int exit_code) {
  return [=](std::vector<Fate>& fates) {
    const ExitWith program(exit_code);
    pid_t pid = 0;
    KNELL_CHECK(
        ::posix_spawn(&pid, program.path.c_str(), nullptr, nullptr, program.argv, environ) == 0);
    fates.push_back(waited_for(pid));
    fates.back().execs = 1;
  };
}

void failed_exec(std::vector<Fate>& fates) {
  fates.push_back(waited_for(fork_running([] {
    char path[] = "/nonexistent/program";
    char* argv[] = {path, nullptr};
    ::execv(path, argv);
    return 6;
  })));
}

Scenario script(const std::string& directory) {
  const std::string path = directory + "/script";
  std::ofstream(path) << "#!" << victim("exit_with") << " 9\n";
  ::chmod(path.c_str(), 0755);
  return [path](std::vector<Fate>& fates) {
    fates.push_back(waited_for(fork_running([&] {
      std::string name = path;
      char* argv[] = {name.data(), nullptr};
      ::execv(path.c_str(), argv);
      return 127;
    })));
    fates.back().execs = 1;
  };
}

Scenario cloned_with_exit_signal(int signal) {
  return [=](std::vector<Fate>& fates) {
    // The default action would kill the process of the stage
    if (signal != 0) ::signal(signal, [](int) {});
    const pid_t pid = raw_clone(static_cast<unsigned long>(signal));
    KNELL_CHECK(pid >= 0);
    if (pid == 0) ::_exit(12);
    fates.push_back(waited_for(pid, __WALL));
  };
}

void cloned_as_sibling(std::vector<Fate>& fates) {
  Pipe sibling = make_pipe();
  const pid_t cloner = fork_running([&] {
    const pid_t pid = raw_clone(CLONE_PARENT | SIGCHLD);
    if (pid == 0) ::_exit(13);
    return ::write(sibling.write.get(), &pid, sizeof pid) == sizeof pid ? 0 : 1;
  });
  pid_t pid = 0;
  KNELL_CHECK(::read(sibling.read.get(), &pid, sizeof pid) == sizeof pid);
  fates.push_back(waited_for(cloner));
  fates.push_back(waited_for(pid));
}

void init_of_a_pid_namespace(std::vector<Fate>& fates) {
  const pid_t pid = raw_clone(CLONE_NEWPID | SIGCHLD);
  KNELL_CHECK(pid >= 0);
  if (pid == 0) ::_exit(::getpid() == 1 ? 14 : 15);
  fates.push_back(waited_for(pid));
}

void reaped_by_the_kernel(std::vector<Fate>& fates) {
  struct sigaction action{};
  action.sa_handler = SIG_IGN;
  self_reaping(fates, action);
}

void reaped_by_the_kernel_with_nocldwait(std::vector<Fate>& fates) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_NOCLDWAIT;
  self_reaping(fates, action);
}

void orphans(std::vector<Fate>& fates) {
  Pipe pids = make_pipe();
  const pid_t middle = fork_running([&] {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) {
      // The process is an orphan now; the stage's process is its new parent
      while (::getppid() == parent) ::sched_yield();
      return 8;
    }
    return ::write(pids.write.get(), &pid, sizeof pid) == sizeof pid ? 0 : 1;
  });
  pid_t orphan = 0;
  KNELL_CHECK(::read(pids.read.get(), &orphan, sizeof orphan) == sizeof orphan);
  fates.push_back(waited_for(middle));
  fates.push_back(waited_for(orphan));
  fates.back().born_of = middle;
}

}  // namespace knell::test::scenario
