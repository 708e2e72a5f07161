// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell {

// Whether this process is in a container: in another pid or cgroup namespace than the machine.
bool in_container();

// What helps when no knelld listens on the socket `path`: to start it, and in a container to mount
// the folder of the host's socket.
std::string start_daemon_hint(const std::string& path);
// The same, said of a container or not.
std::string start_daemon_hint(const std::string& path, bool container);

}  // namespace knell
