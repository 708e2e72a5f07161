// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The daemon in the place of the kernel.
//
// A netlink socket never comes to an end. Ours does, when the daemon goes, and then it is mended
// under the program's feet: a new connection is made, what was asked for is asked for again, and
// the new socket takes the old one's number, by dup3(). The program is told once, by ENOBUFS, that
// it missed events: what a netlink socket says when it overflowed. While no daemon is there the
// number is lent to a timer, so that who polls it wakes ten times a second and not all the time;
// each wake-up makes the program receive, and each receive tries again. A daemon that ends the new
// connection at once, because it has no room for us, is no better than none.
//
// dup3() takes a descriptor out of every epoll set. So its registrations are noted as they are made
// (epoll_ctl() is ours too) and made again; those of kMostEpolls + 1 sets, and those made by a
// program that was executed since, are not. poll() and select() need nothing.
#pragma once

#include <cstdint>

#include "compat/table.h"

namespace knell::compat {

// A connection whose first message, our hello, is sent: what the program sends follows. -1 and
// errno when there is no daemon. `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK.
int connect_to_daemon(int flags);

enum class Link {
  kUp,       // receive, or send, again
  kDown,     // not yet
  kGivenUp,  // not for a long time; or what it asked for is not known
  kNotOurs,  // this descriptor is another file by now
};
// Called when `fd` came to its end, or is known to be down: one attempt to mend it. `seen`: the
// socket's generation before the call that failed, since another thread may have mended it by now.
Link mend(Socket& socket, int fd, uint32_t seen);

// Waits while mend(), of the same `seen`, gives kDown as it did (`link`), as long as a call with
// these flags may. Whether to try the call again; else errno: EAGAIN, EINTR, ECONNREFUSED given up,
// ENOTSOCK not ours.
bool await_daemon(Socket& socket, int fd, int flags, uint32_t seen, Link link);

// Notes what an epoll_ctl() that succeeded did to `fd`.
void note_epoll(Socket& socket, int epoll, int operation, int fd, const epoll_event* event);

}  // namespace knell::compat
