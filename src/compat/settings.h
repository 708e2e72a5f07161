// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "filter/rule.h"

namespace knell::compat {

// What `knell compat` was asked for, read once from the environment:
//   KNELL_SOCKET           where the daemon is; empty: nowhere
//   KNELL_COMPAT_DIRECT=1  no daemon, the kernel's own socket
//   KNELL_COMPAT_RULE=v6   the filter's rule as first posted
//   KNELL_COMPAT_AS_ROOT=1 getuid() and geteuid() say 0
struct Settings {
  bool direct = false;
  bool as_root = false;
  filter::Rule rule = filter::Rule::kReleased;
  sockaddr_un daemon{};
  socklen_t daemon_bytes = 0;  // 0: nowhere, or too long a path; no connection is ever made
};

const Settings& settings();

}  // namespace knell::compat
