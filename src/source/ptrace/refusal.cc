// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/refusal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"

namespace knell::source {
namespace {

std::string link_of(const char* path) {
  char target[64];
  const ssize_t size = ::readlink(path, target, sizeof target);
  return {target, static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

// kernel.yama.ptrace_scope; 0 also where the kernel has no Yama.
char yama_scope() {
  const UniqueFd file(::open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC));
  char scope = '0';
  return file && ::read(file.get(), &scope, 1) == 1 ? scope : '0';
}

}  // namespace

// After unshare(CLONE_NEWPID) the first child is the init of a new pid namespace. The tracer would
// be in it, too, and be killed as soon as that first child ends. Where /proc shows the pids of
// another namespace, a pid there is another process.
Result<void> check_namespace() {
  const std::string own = link_of("/proc/self/ns/pid");
  const std::string children = link_of("/proc/self/ns/pid_for_children");
  if (!own.empty() && !children.empty() && own != children)
    return say(ENOTSUP,
               "cannot trace: children of this process are born in a new pid namespace; start it "
               "with unshare --fork");
  const std::string self = link_of("/proc/self");
  if (!self.empty() && self != std::to_string(::getpid()))
    return say(ENOTSUP,
               "cannot trace: /proc is that of another pid namespace; mount one of this pid "
               "namespace (unshare --mount-proc)");
  return {};
}

Refusal why_refused(int error) {
  if (error == ECHILD)
    return {"the process that traces was killed, by a seccomp filter for example",
            "allow ptrace(2) in the filter (systemd: SystemCallFilter=@debug)"};
  if (error == ENOSYS)
    return {"a seccomp filter or this kernel has no ptrace(2)", "allow ptrace(2) in the filter"};
  if (error != EPERM) return {std::strerror(error), ""};
  switch (yama_scope()) {
    case '2':
      return {"kernel.yama.ptrace_scope is 2, which takes CAP_SYS_PTRACE to trace",
              "sysctl kernel.yama.ptrace_scope=1"};
    case '3':
      return {"kernel.yama.ptrace_scope is 3, which forbids tracing until the next boot",
              "another value of kernel.yama.ptrace_scope at boot"};
    default:
      return {
          "it is traced already, or belongs to another user, or a seccomp filter or security "
          "module forbids ptrace(2)",
          "allow ptrace(2) in the filter (docker run --cap-add SYS_PTRACE)"};
  }
}

}  // namespace knell::source
