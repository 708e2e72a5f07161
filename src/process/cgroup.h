// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace knell::process {

// A cgroup's path, and the unit and container it names. Shared by all processes in the cgroup.
struct Cgroup {
  std::string path;
  std::string unit;          // "cron.service"; empty: none
  std::string container_id;  // empty: none
};

// Sets the event's strings to those of the cgroup, which must outlive it; nullptr: they stay
// unknown.
void fill_cgroup(knell_event& event, const Cgroup* cgroup);

// The cgroup path of a process, from the text of /proc/PID/cgroup: that of the systemd hierarchy on
// hybrid systems (where the v2 path may be just /init.scope), else the v2 path. Empty: not found.
std::string_view cgroup_path(std::string_view proc_text);

// The systemd unit of a cgroup path: the first component that is not a slice. Below a user manager
// (user@N.service) it is the unit of that manager, if there is one. Empty: none.
std::string_view unit_of(std::string_view path);

// The id of the innermost container that contains the cgroup: 64 hex digits for docker, containerd,
// cri-o and podman, 25 letters and digits for buildkit, the handle for garden, and the machine name
// for systemd-nspawn, machined (unescaped), LXC, LXD and Incus. Processes that a runtime runs
// outside the container (conmon, lxc.monitor, nspawn's supervisor) are not in it, nor is a virtual
// machine a container. Empty: none.
std::string container_of(std::string_view path);

// Cgroups by path: each path is parsed once and shared while any process uses it. Not thread-safe.
class Cgroups {
 public:
  std::shared_ptr<const Cgroup> intern(std::string_view path);
  size_t size() const { return known_.size(); }

 private:
  void forget_unused();
  std::unordered_map<std::string, std::weak_ptr<const Cgroup>> known_;
  size_t look_again_at_ = 1024;  // chosen, not measured
};

}  // namespace knell::process
