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

// The connector's socket, one system call a function. For the order of the calls see connector.cc.
namespace knell::source {

Result<UniqueFd> open_connector();

// The size of the queue of unread events, as the kernel counts it: each event is charged about
// kEventCharge bytes.
struct Buffer {
  uint64_t bytes = 0;
  bool forced = false;   // by SO_RCVBUFFORCE, which net.core.rmem_max does not limit
  bool clamped = false;  // less than was asked for
};
inline constexpr uint64_t kEventCharge =
    832;  // truesize of one event on 6.18; 768 to 896 elsewhere
inline constexpr size_t kDefaultBufferBytes = 64U << 20;

Buffer size_buffer(int fd, size_t wanted_bytes);

// Replaces the socket's filter atomically; an empty program removes it.
Result<void> attach_filter(int fd, std::span<const sock_filter> program);

// Replaces the filter with a loaded (extended) BPF program, by its descriptor.
Result<void> attach_program(int fd, int program);

// Joins the group of process events. From here on events arrive, filtered only by the attached
// program, as long as any process on the machine listens. Errors: EPERM before Linux 6.6 without
// CAP_NET_ADMIN.
Result<void> join_events(int fd);

// An op that no kernel knows: the kernel acks the request with EINVAL and does not change its count
// of listeners.
inline constexpr uint32_t kInvalidOp = 0x6b6e6c6c;

// Sends a request: with a mask the 8 bytes of Linux 6.6, without one the 4 bytes that every kernel
// takes. The kernel has processed the request when this returns. Returns 0 or an errno:
// ECONNREFUSED outside the initial network namespace.
int send_request(int fd, uint32_t op, std::optional<uint32_t> mask, uint32_t nonce = 0);

uint32_t random_nonce();

}  // namespace knell::source
