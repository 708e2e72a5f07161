// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <linux/netlink.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "compat/daemon_connection.h"
#include "compat/libc.h"
#include "compat/request.h"
#include "compat/socket_calls.h"
#include "wire/frame.h"

namespace knell::compat {
namespace {

enum class Received {
  kEvent,
  kAck,
  kOverrun,
  kResumed,  // the ack of a request that the shim sent
  kNothing
};

// Classifies a datagram by its first bytes. Shorter datagrams are passed to the program.
Received classify(const Socket& socket, const Head& head) {
  if (head.total < kHeadersBytes) return Received::kEvent;
  if (head.netlink().nlmsg_type == NLMSG_OVERRUN) return Received::kOverrun;
  // A message from the daemon to the shim, not to the program
  if (head.connector().val == wire::kVal) return Received::kNothing;
  const uint32_t ack = head.word(Head::kAckAt);
  if (ack != 0 && ack == socket.shim_ack) return Received::kResumed;
  return head.word(Head::kWhatAt) == 0 ? Received::kAck : Received::kEvent;
}

// If an event arrives while an ack is pending, the program's own BPF filter may have dropped the
// ack: the event then counts as the ack.
void note_event(Socket& socket) {
  if (!socket.daemon_answered.load(std::memory_order_relaxed)) socket.daemon_answered = true;
  if (socket.resuming.load(std::memory_order_relaxed) && socket.resuming.exchange(false) &&
      !socket.no_enobufs)
    socket.overrun = true;
}

void set_sender(msghdr& message, void* name, socklen_t room) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  kernel.nl_groups = KNELL_CN_IDX_PROC;
  std::memcpy(name, &kernel, std::min<size_t>(room, sizeof kernel));
  message.msg_namelen = sizeof kernel;
}

// With SO_PASSCRED, the credentials of the kernel's messages are pid 0, uid 0. Replaces those of
// the daemon.
void set_credentials(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    std::memset(CMSG_DATA(part), 0, std::min(part->cmsg_len - CMSG_LEN(0), sizeof(ucred)));
  }
}

// recvmsg(), with the kernel as the sender. If the descriptor is another file now, the real sender
// is kept.
ssize_t receive_once(int fd, msghdr& message, int flags) {
  sockaddr_storage sender{};
  void* const name = message.msg_name;
  const socklen_t room = message.msg_namelen;
  if (name != nullptr) {
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
  }
  const ssize_t received = libc().recvmsg(fd, &message, flags);
  const socklen_t given = message.msg_namelen;
  message.msg_name = name;
  message.msg_namelen = room;
  if (received < 0) return received;
  if (name != nullptr) {
    if (given == 0 || sender.ss_family == AF_UNIX) {
      set_sender(message, name, room);
    } else {
      std::memcpy(name, &sender, std::min(room, given));
      message.msg_namelen = given;
    }
  }
  if (message.msg_controllen != 0) set_credentials(message);
  return received;
}

bool take_overrun(Socket& socket) {
  if (!socket.overrun.load(std::memory_order_relaxed) || !socket.overrun.exchange(false))
    return false;
  errno = ENOBUFS;
  return true;
}

bool is_empty(const msghdr& message) {
  return std::all_of(message.msg_iov, message.msg_iov + message.msg_iovlen,
                     [](const iovec& part) { return part.iov_len == 0; });
}

// Whether the connection has ended, or the descriptor is the timer. A result of 0 for an empty
// buffer is not the end.
bool ended(const msghdr& message, ssize_t received) {
  if (received == 0) return !is_empty(message);
  return received < 0 && (errno == ECONNRESET || errno == ENOTCONN || errno == ENOTSOCK);
}

void discard_datagram(int fd) {
  char rest = 0;
  libc().recv(fd, &rest, sizeof rest, MSG_DONTWAIT);
}

}  // namespace

ssize_t receive(Socket& socket, int fd, msghdr& message, int flags) {
  const socklen_t name_room = message.msg_namelen;
  const size_t control_room = message.msg_controllen;
  for (;;) {
    if (take_overrun(socket)) return -1;
    message.msg_namelen = name_room;
    message.msg_controllen = control_room;
    const uint32_t seen = socket.generation;
    const ssize_t received = receive_once(fd, message, flags);
    if (ended(message, received)) {
      const Link link = reconnect(socket, fd, seen);
      // First report the loss to the program
      if (link == Link::kDown && take_overrun(socket)) return -1;
      if (await_daemon(socket, fd, flags, seen, link)) continue;
      return -1;
    }
    if (received < 0) return received;
    const Head head = head_of(message.msg_iov, message.msg_iovlen, static_cast<size_t>(received));
    const Received kind = classify(socket, head);
    if (kind == Received::kEvent) note_event(socket);
    if (kind == Received::kEvent || kind == Received::kAck) return received;
    if ((flags & MSG_PEEK) != 0) discard_datagram(fd);
    if (kind == Received::kOverrun) socket.overrun = !socket.no_enobufs;
    if (kind == Received::kResumed) on_resumed(socket, fd, head.word(Head::kErrorAt));
  }
}

}  // namespace knell::compat
