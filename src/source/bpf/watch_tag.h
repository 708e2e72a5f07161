// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What stands in the epoll set of a bpf source, by what epoll_wait() returns.
#pragma once

#include <cstdint>

namespace knell::source {

constexpr uint64_t kRingTag = 0;
constexpr uint64_t kTimerTag = 1;  // a process whose mark is overdue is to be looked at
// Anything greater: a process that is watched, since no process has pid 0. With the descriptor, a
// later one of the same pid is another.
constexpr uint64_t watch_tag(int32_t pid, int pidfd) {
  return static_cast<uint64_t>(static_cast<uint32_t>(pid)) << 32 | static_cast<uint32_t>(pidfd);
}
constexpr int32_t pid_of_tag(uint64_t tag) { return static_cast<int32_t>(tag >> 32); }
constexpr int pidfd_of_tag(uint64_t tag) { return static_cast<int>(tag & 0xffffffffU); }

}  // namespace knell::source
