// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/result.h"
#include "daemon/accounts.h"

namespace knell::daemon {

// Whom to become once everything is open: user `knell`, when we are root and there is such a user.
std::optional<Account> user_to_become();

// Becomes that user, for ever, and keeps of the capabilities only what the daemon goes on to need:
// CAP_SYS_PTRACE for the namespaces of peers and the /proc of all processes, CAP_NET_ADMIN for
// probes of the connector before Linux 6.6; and where there is no connector CAP_BPF and
// CAP_PERFMON, since then the thread-level events, which are asked for only while somebody listens
// to them, come from bpf as well. New privileges cannot be won back. Call it before any thread is
// started.
Result<void> drop_privileges(const std::optional<Account>& become);

}  // namespace knell::daemon
