// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include "compat/table.h"

namespace knell::compat {

// sendmsg() to the daemon, or, with Kind::kDirect, to the kernel's socket: what the program asks
// for is remembered, or translated, and sent later if no daemon is there. Never a SIGPIPE, which
// netlink does not know.
// Errors besides sendmsg()'s: EAGAIN the daemon reads nothing; ECONNREFUSED no daemon, on a socket
// that was inherited through exec; ENOTSOCK the number is another file's by now.
ssize_t transmit(Socket& socket, int fd, const msghdr& message, int flags);

}  // namespace knell::compat
