// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A program written for Linux 6.6 on the socket of an older kernel.
//
// An older kernel hears requests of 4 bytes only, knows no mask, and adds one to its count of
// listeners for each LISTEN. So a request becomes what has the same effect there: the mask a
// classic BPF program on the socket, which the kernel puts every event to, and the op a request of
// 4 bytes. A second LISTEN must be acked and must not count: it is sent, and at once taken back by
// an IGNORE of ours, whose ack the program on the socket keeps out.
//
// A kernel that has the filter gets every request as it is. Only the rule of the patch as first
// posted is added there, by such a program.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "compat/request.h"
#include "compat/table.h"
#include "filter/rule.h"

namespace knell::compat {

// What a request becomes on a kernel without the filter.
struct Translation {
  enum class Filter : uint8_t { kMask, kNothingPasses };
  Filter filter = Filter::kMask;
  bool send = true;            // the request, as 4 bytes
  bool take_back = false;      // and an IGNORE after it
  bool counted_after = false;  // whether the kernel counts the socket as a listener then
};
Translation translate(uint32_t op, bool counted);

// Whether the kernel knows masks; nullopt: it does not answer. Asked on a socket of its own, once
// there is an answer never again.
std::optional<bool> kernel_has_filter();

ssize_t send_direct(Socket& socket, int fd, const msghdr& message, int flags,
                    const Request& request);

}  // namespace knell::compat
