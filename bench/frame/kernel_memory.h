// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace knell::bench {

// What the kernel holds for a process beside its own pages, as far as it says: what is queued in
// its netlink sockets (/proc/net/netlink, as the socket is charged), and its BPF maps and programs
// (fdinfo, `memlock`), of which rings are mapped and so in its resident memory as well.
struct KernelMemory {
  uint64_t netlink_bytes = 0, bpf_bytes = 0;
  uint64_t bytes() const { return netlink_bytes + bpf_bytes; }
};
KernelMemory kernel_memory(pid_t pid);

}  // namespace knell::bench
