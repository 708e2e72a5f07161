// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <cerrno>
#include <optional>

#include "compat/daemon_connection.h"
#include "compat/direct.h"
#include "compat/libc.h"
#include "compat/request.h"
#include "compat/socket_calls.h"

namespace knell::compat {
namespace {

// Chosen, not measured: after that, send() returns before the ack.
constexpr int kAckTimeoutMs = 1000;

// Stores the request that is repeated after a reconnect. As in the kernel, a request with an
// invalid op still sets the mask.
void store_request(Socket& socket, const Request& request) {
  if (request.op == KNELL_MCAST_IGNORE) {
    socket.listening = false;
    return;
  }
  socket.mask = request.mask.value_or(0);
  socket.with_mask = request.mask.has_value();
  if (request.op == KNELL_MCAST_LISTEN) socket.listening = socket.known = true;
}

// The destination address of a netlink socket has the family AF_NETLINK. Another family shows that
// the descriptor is another file now.
bool is_for_another_file(const msghdr& message) {
  return message.msg_name != nullptr && message.msg_namelen >= sizeof(sa_family_t) &&
         static_cast<const sockaddr*>(message.msg_name)->sa_family != AF_NETLINK;
}

// With the kernel, events are sent from the time when send() returns, so a program may fork at once
// and expect the event. With the daemon, this holds from its ack. Waits for the ack and leaves it
// in the queue, for the program to read.
void await_ack(int fd) {
  const int error = errno;
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  (void)::poll(&wait, 1, kAckTimeoutMs);
  errno = error;
}

// Only the first LISTEN waits for the daemon. A socket that listens already is resumed by the
// reconnect, and other requests need not wait.
bool waits_for_daemon(const Socket& socket, const std::optional<Request>& request) {
  return request && request->op == KNELL_MCAST_LISTEN && !socket.listening;
}

// Waits until the socket is writable, as long as a request may wait, because a stopped daemon does
// not read.
bool await_room(int fd, int flags) {
  if ((flags & MSG_DONTWAIT) == 0 && (libc().fcntl(fd, F_GETFL) & O_NONBLOCK) == 0) {
    pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&wait, 1, kRequestTimeoutMs);
    if (ready != 0) return ready > 0;
  }
  errno = EAGAIN;
  return false;
}

ssize_t to_daemon(Socket& socket, int fd, const msghdr& message, int flags, const Head& head) {
  bind_if_unbound(socket);
  if (head.total == 0) return 0;  // dropped by the kernel; the daemon would take it as end of file
  const auto request = parse_request(head);
  msghdr plain{};
  plain.msg_iov = message.msg_iov;
  plain.msg_iovlen = message.msg_iovlen;
  for (;;) {
    const uint32_t seen = socket.generation;
    const ssize_t sent = libc().sendmsg(fd, &plain, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      if (request) {
        if (request->op == KNELL_MCAST_LISTEN && !socket.listening) await_ack(fd);
        store_request(socket, *request);
      }
      return sent;
    }
    if (errno == EAGAIN) {
      if (await_room(fd, flags)) continue;
      return -1;
    }
    if (errno != EPIPE && errno != ECONNRESET && errno != ENOTCONN && errno != ENOTSOCK)
      return sent;
    const int wait = waits_for_daemon(socket, request) ? flags : flags | MSG_DONTWAIT;
    if (await_daemon_for_request(socket, fd, wait, seen)) continue;
    if (errno == ENOTSOCK || !socket.known) {
      // The socket was inherited through exec, so its subscription cannot be repeated
      if (errno != ENOTSOCK) errno = ECONNREFUSED;
      return -1;
    }
    if (request && !keep_request(socket, *request)) continue;
    if (request) store_request(socket, *request);
    return static_cast<ssize_t>(head.total);
  }
}

}  // namespace

ssize_t transmit(Socket& socket, int fd, const msghdr& message, int flags) {
  if (is_for_another_file(message)) {
    errno = ENOTSOCK;
    return -1;
  }
  const Head head = head_of(message.msg_iov, message.msg_iovlen);
  if (socket.kind == Socket::Kind::kDaemon) return to_daemon(socket, fd, message, flags, head);
  const auto request = parse_request(head);
  if (!request) return libc().sendmsg(fd, &message, flags);
  return send_direct(socket, fd, message, flags, *request);
}

}  // namespace knell::compat
