// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Runs a program written for Linux 6.6 on the socket of an older kernel.
//
// An older kernel accepts only requests of 4 bytes, has no mask, and increments its count of
// listeners for each LISTEN. So each request is translated: the mask to a classic BPF program on
// the socket, which the kernel runs for every event, and the op to a request of 4 bytes. A second
// LISTEN must be acked and must not count: it is sent, and at once undone by an IGNORE of the shim,
// whose ack the BPF program drops.
//
// A kernel with the filter gets every request unchanged. Only with the rule of the patch as first
// posted (KNELL_COMPAT_RULE=v6) a BPF program is added.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "compat/request.h"
#include "compat/socket_table.h"
#include "filter/rule.h"

namespace knell::compat {

// The translation of a request for a kernel without the filter.
struct Translation {
  enum class Filter : uint8_t { kMask, kNothingPasses };
  Filter filter = Filter::kMask;
  bool send = true;            // send the request as 4 bytes
  bool take_back = false;      // send an IGNORE after it
  bool counted_after = false;  // whether the kernel counts the socket as a listener afterwards
};
Translation translate(uint32_t op, bool counted);

// Whether the kernel supports masks; nullopt: it does not answer. Probed with a separate socket; an
// answer is cached.
std::optional<bool> kernel_has_filter();

ssize_t send_direct(Socket& socket, int fd, const msghdr& message, int flags,
                    const Request& request);

}  // namespace knell::compat
