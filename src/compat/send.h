// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include "compat/socket_table.h"

namespace knell::compat {

// sendmsg() to the daemon, or, with Kind::kDirect, to the kernel's socket. For the daemon, stores
// the program's request, and sends it later if there is no daemon; for the kernel, translates it.
// Never raises SIGPIPE, as netlink sockets do not.
// Errors besides those of sendmsg(): EAGAIN the daemon does not read; ECONNREFUSED no daemon, on a
// socket inherited through exec; ENOTSOCK the descriptor is another file now.
ssize_t transmit(Socket& socket, int fd, const msghdr& message, int flags);

}  // namespace knell::compat
