// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/diagnosis.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "source/ptrace/tracer.h"

namespace knell::source {

std::vector<Finding> examine_ptrace() {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_PTRACER, parent);
    if (::getppid() == parent) ::pause();
    ::_exit(0);
  }
  if (child < 0) return {{KNELL_FINDING_NO, "ptrace", "not looked at: no process can be made"}};
  const auto tracer = Tracer::create(child, {});
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (!tracer) return {{KNELL_FINDING_NO, "ptrace", tracer.error().message()}};
  return {{KNELL_FINDING_OK, "ptrace", "knell run can trace what it starts; slower"}};
}

}  // namespace knell::source
