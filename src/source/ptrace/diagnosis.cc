// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A child traces a child of its own and exits with the result; both have a copy of this process and
// call nothing but the kernel. This process does not trace itself, since a seccomp filter may kill
// what calls ptrace(2). The child has no exit signal: the caller of the library receives no SIGCHLD
// of it, and a wait for any child does not return it.
#include "source/ptrace/diagnosis.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/unique_fd.h"
#include "source/ptrace/refusal.h"

namespace knell::source {
namespace {

// As fork(2), without an exit signal and without the handlers of pthread_atfork(3).
pid_t fork_unnoticed() {
  return static_cast<pid_t>(::syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr));
}

int status_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
  }
  return status;
}

constexpr int kNoProcess = 255;  // not an errno

[[noreturn]] void trace_a_child() {
  const pid_t self = ::getpid();
  const pid_t child = fork_unnoticed();
  if (child < 0) ::_exit(kNoProcess);
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (::getppid() == self) ::pause();
    ::_exit(0);
  }
  const int error = ::ptrace(PTRACE_SEIZE, child, nullptr, nullptr) == 0 ? 0 : errno;
  ::kill(child, SIGKILL);
  (void)status_of(child);
  ::_exit(error);
}

// The errno of tracing a child, 0 when it worked; nullopt: no child could be made.
std::optional<int> try_to_trace() {
  // No handler of the caller may run in a child.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = fork_unnoticed();
  if (child == 0) trace_a_child();
  const int status = child > 0 ? status_of(child) : kNoProcess << 8;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!WIFEXITED(status)) return ECHILD;
  return WEXITSTATUS(status) == kNoProcess ? std::nullopt : std::optional(WEXITSTATUS(status));
}

}  // namespace

std::vector<Finding> examine_ptrace() {
  const auto no = [](std::string text, std::string fix) {
    return std::vector<Finding>{{KNELL_FINDING_NO, "ptrace", std::move(text), std::move(fix)}};
  };
  if (descriptors_ran_out())
    return no("not looked at: no descriptors left", "raise the limit of open files (ulimit -n)");
  if (const auto possible = check_namespace(); !possible) return no(possible.error().message(), "");
  const auto error = try_to_trace();
  if (!error) return no("not looked at: no process can be made", "raise the limit of processes");
  if (*error == 0)
    return {{KNELL_FINDING_OK, "ptrace", "for knell run where no other source works; slower"}};
  const Refusal refusal = why_refused(*error);
  return no(refusal.text, refusal.fix);
}

}  // namespace knell::source
