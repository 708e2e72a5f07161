// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What each system call does on a socket that the daemon serves (Kind::kDaemon), as the kernel's
// netlink socket would do it. exports.cc calls these functions. They are in send.cc, receive.cc and
// address.cc.
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

// recvmsg(): datagrams come from port 0, group 1; an overrun is ENOBUFS; messages between the
// daemon and the shim are skipped; there is no end of file. recv(), recvfrom(), read(), readv() and
// recvmmsg() use it. Errors besides those of recvmsg(): ENOBUFS events were missed; ECONNREFUSED no
// daemon for a minute; ENOTSOCK the descriptor is another file now: call the real function.
ssize_t receive(Socket& socket, int fd, msghdr& message, int flags);

// bind(). The automatic port is the process id, or, if another of the program's sockets has it
// already, a number that no process can have, as in the kernel.
int bind_port(Socket& socket, const sockaddr* address, socklen_t bytes);
void bind_if_unbound(Socket& socket);  // the automatic bind of the first send
// getsockname() and getpeername().
int own_name(Socket& socket, sockaddr* address, socklen_t* bytes);
int kernel_name(sockaddr* address, socklen_t* bytes);

// setsockopt() and getsockopt(): memberships and the other options of SOL_NETLINK, which are stored
// or ignored, and for get_option() also domain, protocol and type. false: another option, pass it
// to the real socket.
bool set_option(Socket& socket, int level, int option, const void* value, socklen_t bytes,
                int& result);
bool get_option(Socket& socket, int level, int option, void* value, socklen_t* bytes, int& result);

}  // namespace knell::compat
