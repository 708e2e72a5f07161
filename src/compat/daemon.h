// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The daemon in the place of the kernel.
//
// A netlink socket never comes to an end. Ours does, when the daemon goes: then a new connection is
// made, what was asked for is asked for again, and the new socket takes the old one's number, by
// dup3(). While no daemon is there the number is a timer, which makes poll() return ten times a
// second: each time the program receives, and each receive tries to connect. The options of the
// socket are those of a stand-in meanwhile (stand_in.h). A daemon that ends the new connection at
// once, because it has no room for us, is as good as none.
//
// That events are missed is reported by ENOBUFS, as a netlink socket reports an overflow: by the
// first receive while no daemon is there, and again once the new daemon has acked what was asked
// for. A program that looks at /proc after an ENOBUFS must do so after the last event it can miss.
//
// socket() succeeds also while no daemon is there, and so does what is sent: a LISTEN waits some
// seconds for the daemon, unless the socket does not block, and is sent later otherwise. Then its
// events begin with an ENOBUFS.
//
// dup3() takes a descriptor out of every epoll set. So its registrations are noted as they are made
// (epoll_ctl() is ours too) and made again; those of kMostEpolls + 1 sets, and those made by a
// program that was executed since, are not. poll() and select() need nothing.
#pragma once

#include <cstdint>

#include "compat/table.h"

namespace knell::compat {

// A connection whose first message, our hello, is sent: what the program sends follows. -1 and
// errno when there is no daemon; never waits for it. `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK.
int connect_to_daemon(int flags);
// Whether `error`, of connect_to_daemon(), may be over when the daemon has started.
bool is_away(int error);

// A new socket of ours, connected to the daemon, or to be connected when it is there. -1 and errno.
int open_served(int flags);

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

// How long a request waits for the daemon; picked, change freely.
inline constexpr int64_t kRequestPatienceMs = 5'000;
// The same for a request, which waits at most so long. false: there is no daemon yet, or the number
// is not ours (errno is ENOTSOCK then).
bool await_daemon_for_request(Socket& socket, int fd, int flags, uint32_t seen);
// Keeps a request until the daemon is there; the last one counts. false: it is there by now.
bool keep_request(Socket& socket, const Request& request);
// The daemon has acked what was asked for again, with this error.
void on_resumed(Socket& socket, int fd, uint32_t error);

// Notes what an epoll_ctl() that succeeded did to `fd`.
void note_epoll(Socket& socket, int epoll, int operation, int fd, const epoll_event* event);

}  // namespace knell::compat
