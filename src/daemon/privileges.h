// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/result.h"
#include "daemon/user_database.h"

namespace knell::daemon {

// The user to change to after opening everything: user `knell`, if this process runs as root and
// the user exists.
std::optional<UserIds> user_to_become();

// Changes to that user and drops all capabilities that the daemon no longer needs. This cannot be
// undone. Keeps CAP_SYS_PTRACE for the namespaces of peers and the /proc of all processes,
// CAP_NET_ADMIN for probes of the connector before Linux 6.6, and, if there is no connector,
// CAP_BPF and CAP_PERFMON: then the events of threads come from bpf too, which is opened when the
// first listener of threads connects. Call it before any thread is started.
Result<void> drop_privileges(const std::optional<UserIds>& become);

}  // namespace knell::daemon
