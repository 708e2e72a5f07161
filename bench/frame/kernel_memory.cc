// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/kernel_memory.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

namespace knell::bench {
namespace {

// /proc/net/netlink: sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
uint64_t queued_in(const std::set<uint64_t>& inodes) {
  std::ifstream table("/proc/net/netlink");
  std::string line;
  std::getline(table, line);
  uint64_t sum = 0;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string skipped;
    uint64_t queued = 0;
    uint64_t inode = 0;
    fields >> skipped >> skipped >> skipped >> skipped >> queued;
    fields >> skipped >> skipped >> skipped >> skipped >> inode;
    if (fields && inodes.contains(inode)) sum += queued;
  }
  return sum;
}

// A map or a program, once however many descriptors there are of it.
uint64_t held_by(const std::filesystem::path& fdinfo, std::set<std::string>& seen) {
  std::ifstream file(fdinfo);
  uint64_t bytes = 0;
  bool is_new = false;
  std::string name, value;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    fields >> name >> value;
    if (name == "memlock:") bytes = std::stoull("0" + value);
    if (name == "map_id:" || name == "prog_id:") is_new = seen.insert(name + value).second;
  }
  return is_new ? bytes : 0;
}

}  // namespace

KernelMemory kernel_memory(pid_t pid) {
  constexpr std::string_view kSocket = "socket:[";
  const std::filesystem::path proc = "/proc/" + std::to_string(pid);
  KernelMemory memory;
  std::set<uint64_t> sockets;
  std::set<std::string> seen;
  std::error_code error;
  std::filesystem::directory_iterator at(proc / "fd", error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(at->path(), gone);
    if (target.starts_with(kSocket))
      sockets.insert(std::stoull("0" + target.substr(kSocket.size())));
    if (target.starts_with("anon_inode:bpf"))
      memory.bpf_bytes += held_by(proc / "fdinfo" / at->path().filename(), seen);
  }
  memory.netlink_bytes = queued_in(sockets);
  return memory;
}

}  // namespace knell::bench
