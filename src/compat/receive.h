// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include "compat/table.h"

namespace knell::compat {

// recvmsg() on a socket that the daemon serves, as it would be on the kernel's: datagrams come from
// port 0, group 1; an overrun is ENOBUFS; what is between the daemon and us is passed over; and
// there is no end. All of recv(), recvfrom(), read(), readv() and recvmmsg() are this.
// Errors besides recvmsg()'s: ENOBUFS events were missed; ECONNREFUSED no daemon for a minute;
// ENOTSOCK the number is another file's by now, to be asked in the ordinary way.
ssize_t receive(Socket& socket, int fd, msghdr& message, int flags);

}  // namespace knell::compat
