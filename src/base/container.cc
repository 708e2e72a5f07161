// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/container.h"

#include <unistd.h>

#include <array>

#include "base/pid_namespace.h"

namespace knell {

bool in_container() {
  // docker; podman; what systemd found at its start inside of one; systemd-nspawn.
  constexpr std::array kMarks{"/.dockerenv", "/run/.containerenv", "/run/systemd/container",
                              "/run/host/container-manager"};
  for (const char* mark : kMarks) {
    if (::access(mark, F_OK) == 0) return true;
  }
  const auto pids = PidNamespace::ours();
  return pids && !pids->is_initial();
}

std::string start_daemon_hint(const std::string& path, bool container) {
  const std::string start = "systemctl enable --now knelld.socket";
  if (!container) return start;
  // The folder, since a socket that is made anew is another file.
  const std::string folder = path.substr(0, path.rfind('/'));
  return "on the host: " + start + ", and mount its " + folder + " here (docker run -v " + folder +
         ":" + folder + ")";
}

std::string start_daemon_hint(const std::string& path) {
  return start_daemon_hint(path, in_container());
}

}  // namespace knell
