// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

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
// Ends when the command ends by itself, and returns its exit status. See supervisor.cc. Errors: the
// command cannot be started, or a descriptor or socket is missing.
Result<int> supervise(const std::vector<std::string>& command);

}  // namespace knell::handover
