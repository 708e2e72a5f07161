// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell {

// Whether this process is in a container: its pid or cgroup namespace is not the initial one.
bool in_container();

// A command that starts knelld, for when no knelld listens on the socket `path`. In a container it
// also says to mount the directory of the host's socket.
std::string start_daemon_hint(const std::string& path);
// start_daemon_hint() where the caller says whether this is a container.
std::string start_daemon_hint(const std::string& path, bool container);

}  // namespace knell
