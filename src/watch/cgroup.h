// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace knell::watch {

// A cgroup's path and what it tells. Shared by all processes in it.
struct Cgroup {
  std::string path;
  std::string unit;          // "cron.service"; empty: none
  std::string container_id;  // empty: none
};

// The path of a process from the text of /proc/PID/cgroup: the systemd hierarchy's on hybrid
// systems (there the v2 path may be just /init.scope), else the v2 one. Empty: none found.
std::string_view cgroup_path(std::string_view proc_text);

// The systemd unit a path lies in: the first component that is no slice; below a user's manager
// (user@N.service) the unit of that manager, if there is one.
std::string_view unit_of(std::string_view path);

// The id of the innermost container that a path is inside of: 64 hex digits as docker, containerd,
// cri-o and podman write them, 25 letters and digits of buildkit, the handle of garden, the name of
// a machine of systemd-nspawn or machined (without its escapes), LXC, LXD and Incus. What a runtime
// runs outside for a container (conmon, lxc.monitor, nspawn's supervisor) and a virtual machine are
// not inside. Empty: none.
std::string container_of(std::string_view path);

// Parses each path once while some process remembers it. Not thread-safe.
class Cgroups {
 public:
  std::shared_ptr<const Cgroup> intern(std::string_view path);
  size_t size() const { return known_.size(); }

 private:
  void forget_unused();
  std::unordered_map<std::string, std::weak_ptr<const Cgroup>> known_;
  size_t look_again_at_ = 1024;  // picked, never tuned
};

}  // namespace knell::watch
