// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/container.h"

#include <sys/stat.h>

#include "base/pid_namespace.h"

namespace knell {

// Marker files prove nothing: a virtual machine made from a docker image has /.dockerenv too.
bool in_container() {
  constexpr ino_t kInitialCgroupNamespace = 0xEFFFFFFB;  // PROC_CGROUP_INIT_INO, linux/proc_ns.h
  struct stat cgroup{};
  // A container that shares the pid namespace of the host usually has its own cgroup namespace.
  if (::stat("/proc/self/ns/cgroup", &cgroup) == 0 && cgroup.st_ino != kInitialCgroupNamespace)
    return true;
  const auto pids = PidNamespace::of_self();
  return pids && !pids->is_initial();
}

std::string start_daemon_hint(const std::string& path, bool container) {
  std::string start = "systemctl enable --now knelld.socket";
  if (!container || !path.starts_with('/')) return start;
  // Mount the directory, not the socket file: after a restart of knelld the mount of a file would
  // still refer to the old socket.
  const std::string folder = path.substr(0, path.rfind('/'));
  return "on the host: " + start + ", and mount its " + folder + " here (docker run -v " + folder +
         ":" + folder + ")";
}

std::string start_daemon_hint(const std::string& path) {
  return start_daemon_hint(path, in_container());
}

}  // namespace knell
