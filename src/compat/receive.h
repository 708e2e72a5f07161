// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include "compat/socket_table.h"

namespace knell::compat {

// recvmsg() on a socket that the daemon serves, with the behaviour of the kernel's socket:
// datagrams come from port 0, group 1; an overrun is ENOBUFS; messages between the daemon and the
// shim are skipped; there is no end of file. recv(), recvfrom(), read(), readv() and recvmmsg() use
// it. Errors besides those of recvmsg(): ENOBUFS events were missed; ECONNREFUSED no daemon for a
// minute; ENOTSOCK the descriptor is another file now: call the real function.
ssize_t receive(Socket& socket, int fd, msghdr& message, int flags);

}  // namespace knell::compat
