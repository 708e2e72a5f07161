// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The connection to the daemon, used in place of the kernel's socket.
//
// A netlink socket never reaches end of file. The connection to the daemon does when the daemon
// goes away. Then the shim connects again, repeats the program's requests, and replaces the
// descriptor with the new socket by dup3(). While there is no daemon, the descriptor is a timer, so
// that poll() returns ten times a second: each time the program receives, and each receive tries to
// connect. Meanwhile a stand-in has the options of the socket (stand_in.h). A daemon that closes
// the new connection at once, because it has too many clients, is treated as absent.
//
// Missed events are reported by ENOBUFS, as a netlink socket reports an overflow: by the first
// receive without a daemon, and again when the new daemon has acked the repeated request. A program
// that reads /proc after ENOBUFS must do so after the last event that it can miss.
//
// Without a daemon, socket() and sends succeed too: a LISTEN waits a few seconds for the daemon,
// unless the socket is non-blocking. After that it is kept and sent later, and the events begin
// with ENOBUFS.
//
// dup3() removes a descriptor from every epoll set. So the shim intercepts epoll_ctl(), stores the
// registrations, and repeats them. It does not repeat registrations in more than kMostEpolls sets,
// nor those made before an exec. poll() and select() need nothing.
#pragma once

#include <cstdint>

#include "compat/socket_table.h"

namespace knell::compat {

// Connects and sends HELLO; the program's requests follow. Never waits for the daemon. -1 and errno
// if there is no daemon. `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK.
int connect_to_daemon(int flags);
// Whether connect_to_daemon() may succeed later, when the daemon has started.
bool is_away(int error);

// Opens a socket of Kind::kDaemon, connected to the daemon, or to be connected when the daemon
// runs. -1 and errno.
int open_served(int flags);

enum class Link {
  kUp,         // connected: repeat the send or receive
  kDown,       // not connected yet
  kFailed,     // not connected for a long time, or the program's requests are unknown
  kOtherFile,  // the descriptor is another file now
};
// Makes one attempt to reconnect. Called when `fd` reached end of file or is known to be down.
// `seen`: the socket's generation before the call that failed, since another thread may already
// have reconnected it.
Link reconnect(Socket& socket, int fd, uint32_t seen);

// Calls reconnect() until the result is not kDown, as long as a call with these flags may wait.
// `link`: the result of the last reconnect() with the same `seen`. Returns whether to repeat the
// call; else sets errno: EAGAIN, EINTR, ECONNREFUSED kFailed, ENOTSOCK kOtherFile.
bool await_daemon(Socket& socket, int fd, int flags, uint32_t seen, Link link);

// How long a request waits for the daemon; chosen, not measured.
inline constexpr int64_t kRequestTimeoutMs = 5'000;
// For a request, which waits at most kRequestTimeoutMs. false: there is no daemon yet, or
// the descriptor is not a connector socket (errno is ENOTSOCK then).
bool await_daemon_for_request(Socket& socket, int fd, int flags, uint32_t seen);
// Stores a request until the daemon is connected; only the last one is kept. false: it is connected
// already.
bool keep_request(Socket& socket, const Request& request);
// The daemon has acked the repeated request, with this error.
void on_resumed(Socket& socket, int fd, uint32_t error);

// Stores the registration made by a successful epoll_ctl() for `fd`.
void note_epoll(Socket& socket, int epoll, int operation, int fd, const epoll_event* event);

}  // namespace knell::compat
