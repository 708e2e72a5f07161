// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace knell::handover {

// The child's environment has the pid of the supervisor here.
inline constexpr const char* kSupervisorPid = "KNELL_SUPERVISOR";
// In the child: it is to get SIGTERM when the supervisor dies. To be called after every change of
// its user, which makes the kernel forget it.
void end_with_supervisor();

// Runs `command` (a path and its arguments), holds the descriptors that it stores, and starts it
// again with them when it dies: what PID 1 does with a service of systemd, with the same protocol.
// Ends when the command ends by itself, and returns its exit status. `log` is called with each
// problem while the command is started again. See supervisor.cc. Errors: the command cannot be
// started the first time, or a descriptor or socket is missing.
using SupervisorLog = std::function<void(const std::string&)>;
Result<int> supervise(const std::vector<std::string>& command, const SupervisorLog& log);

}  // namespace knell::handover
