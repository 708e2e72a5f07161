// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What a netlink socket says of itself, said by one that the daemon serves. Each is the system call
// of its name, for a socket of Kind::kDaemon.
#pragma once

#include <sys/socket.h>

#include "compat/table.h"

namespace knell::compat {

// The number that getsockname() would give is the process id, or, where another of our sockets has
// that already, one that no process can have: as the kernel does it.
int bind_port(Socket& socket, const sockaddr* address, socklen_t bytes);
void bind_if_unbound(Socket& socket);  // what the first send does
int own_name(Socket& socket, sockaddr* address, socklen_t* bytes);
int kernel_name(sockaddr* address, socklen_t* bytes);

// Memberships and the options of SOL_NETLINK are noted or passed over; false: the option is the
// socket's own, as on any socket.
bool set_option(Socket& socket, int level, int option, const void* value, socklen_t bytes,
                int& result);
bool get_option(Socket& socket, int level, int option, void* value, socklen_t* bytes, int& result);

}  // namespace knell::compat
