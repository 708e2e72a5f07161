// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Address and options of a socket of Kind::kDaemon, as a netlink socket would report them. Each
// function emulates one system call.
#pragma once

#include <sys/socket.h>

#include "compat/socket_table.h"

namespace knell::compat {

// bind(). The automatic port is the process id, or, if another of the program's sockets has it
// already, a number that no process can have, as in the kernel.
int bind_port(Socket& socket, const sockaddr* address, socklen_t bytes);
void bind_if_unbound(Socket& socket);  // the automatic bind of the first send
int own_name(Socket& socket, sockaddr* address, socklen_t* bytes);
int kernel_name(sockaddr* address, socklen_t* bytes);

// Handle memberships and the other options of SOL_NETLINK, which are stored or ignored, and for
// get_option() also domain, protocol and type. false: another option, pass it to the real socket.
bool set_option(Socket& socket, int level, int option, const void* value, socklen_t bytes,
                int& result);
bool get_option(Socket& socket, int level, int option, void* value, socklen_t* bytes, int& result);

}  // namespace knell::compat
