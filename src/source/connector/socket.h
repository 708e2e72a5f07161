// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

// The connector's socket, one system call a function. The order in which they must be called is
// told in connector.cc.
namespace knell::source {

Result<UniqueFd> open_connector();

// What the kernel gave for unread events, in its own count: every event costs kEventCharge or more.
struct Buffer {
  uint64_t bytes = 0;
  bool forced = false;   // SO_RCVBUFFORCE: net.core.rmem_max does not bind
  bool clamped = false;  // less than was asked
};
inline constexpr uint64_t kEventCharge =
    832;  // truesize of one event on 6.18; 768 to 896 elsewhere
inline constexpr size_t kDefaultBufferBytes = 64U << 20;

Buffer size_buffer(int fd, size_t wanted_bytes);

// Replaces the filter at once; an empty program takes it away.
Result<void> attach_filter(int fd, std::span<const sock_filter> program);

// The same of a program of the other kind, by its descriptor.
Result<void> attach_program(int fd, int program);

// Joins the group of process events. From here on, as long as anybody on the machine listens,
// events come, filtered by nothing but the attached program. Errors: EPERM before Linux 6.6.
Result<void> join_events(int fd);

// What no kernel knows: its request is acked with EINVAL and changes no counter.
inline constexpr uint32_t kInvalidOp = 0x6b6e6c6c;

// Sends a request; with a mask the 8 bytes of Linux 6.6, without one the 4 bytes of every kernel.
// When it returns the request has been served. 0 or an errno: ECONNREFUSED in a network namespace
// of its own.
int send_request(int fd, uint32_t op, std::optional<uint32_t> mask, uint32_t nonce = 0);

uint32_t random_nonce();

}  // namespace knell::source
