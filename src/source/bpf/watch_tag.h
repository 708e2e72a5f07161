// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The data of the descriptors in the epoll set of a bpf source, as epoll_wait() returns them.
#pragma once

#include <cstdint>

namespace knell::source {

constexpr uint64_t kRingTag = 0;
constexpr uint64_t kTimerTag = 1;  // time to check the processes whose mark is overdue
// A watched process has a greater tag than the two above, since no process has pid 0. The
// descriptor in the tag distinguishes a process from a later one with the same pid.
constexpr uint64_t watch_tag(int32_t pid, int pidfd) {
  return static_cast<uint64_t>(static_cast<uint32_t>(pid)) << 32 | static_cast<uint32_t>(pidfd);
}
constexpr int32_t pid_of_tag(uint64_t tag) { return static_cast<int32_t>(tag >> 32); }
constexpr int pidfd_of_tag(uint64_t tag) { return static_cast<int>(tag & 0xffffffffU); }

}  // namespace knell::source
