// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "filter/rule.h"

namespace knell::compat {

// The options of `knell compat`, read once from the environment:
//   KNELL_SOCKET           path of the daemon's socket; empty: no daemon
//   KNELL_COMPAT_DIRECT=1  use the kernel's socket, not the daemon
//   KNELL_COMPAT_RULE=v6   the filter rule of the patch as first posted
//   KNELL_COMPAT_AS_ROOT=1 getuid() and geteuid() return 0
struct Settings {
  bool direct = false;
  bool as_root = false;
  filter::Rule rule = filter::Rule::kReleased;
  sockaddr_un daemon{};
  socklen_t daemon_bytes = 0;  // 0: no path, or the path is too long; never connects
};

const Settings& settings();

}  // namespace knell::compat
