// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The functions of libc that the shim replaces. Each looks up its descriptor in the table, and
// calls the function of the next library unless it is a process connector socket.
#include <linux/netlink.h>
#include <stdarg.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "compat/daemon_connection.h"
#include "compat/libc.h"
#include "compat/settings.h"
#include "compat/socket_calls.h"
#include "compat/socket_table.h"
#include "compat/stand_in.h"

namespace {

using namespace knell::compat;

// The socket of `fd` if it is connected to the daemon. For other connector sockets the shim
// intercepts only sends.
Socket* served(int fd) {
  Socket* socket = find(fd);
  return socket != nullptr && socket->kind == Socket::Kind::kDaemon ? socket : nullptr;
}

// As served(), but checks that the descriptor is still the socket. For calls that are rare and
// would harm another file with the same descriptor.
Socket* served_and_checked(int fd) {
  Socket* socket = served(fd);
  for (int tries = 0; socket != nullptr && tries < 1000; ++tries) {
    const bool settled = socket->busy == 0;
    if (socket->is(fd)) return socket;
    if (settled) break;
    ::sched_yield();  // another thread is replacing its file
  }
  return nullptr;
}

// receive() and transmit() fail with ENOTSOCK if the descriptor is no longer a socket of the shim:
// then call the real function.
bool answered(ssize_t result) { return result >= 0 || errno != ENOTSOCK; }

msghdr message_of(iovec& part) {
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return message;
}

ssize_t receive_into(Socket& socket, int fd, void* buffer, size_t bytes, int flags) {
  iovec part{.iov_base = buffer, .iov_len = bytes};
  msghdr message = message_of(part);
  return receive(socket, fd, message, flags);
}

ssize_t receive_from(Socket& socket, int fd, void* buffer, size_t bytes, int flags,
                     sockaddr* address, socklen_t* address_bytes) {
  iovec part{.iov_base = buffer, .iov_len = bytes};
  msghdr message = message_of(part);
  message.msg_name = address;
  message.msg_namelen = address != nullptr && address_bytes != nullptr ? *address_bytes : 0;
  const ssize_t received = receive(socket, fd, message, flags);
  if (received >= 0 && address != nullptr && address_bytes != nullptr)
    *address_bytes = message.msg_namelen;
  return received;
}

ssize_t transmit_from(Socket& socket, int fd, const void* buffer, size_t bytes, int flags,
                      const sockaddr* address, socklen_t address_bytes) {
  iovec part{.iov_base = const_cast<void*>(buffer), .iov_len = bytes};
  msghdr message = message_of(part);
  message.msg_name = const_cast<sockaddr*>(address);
  message.msg_namelen = address_bytes;
  return transmit(socket, fd, message, flags);
}

bool has_passed(const timespec* limit, const timespec& began) {
  if (limit == nullptr) return false;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const long seconds = now.tv_sec - began.tv_sec - limit->tv_sec;
  return seconds > 0 || (seconds == 0 && now.tv_nsec - began.tv_nsec >= limit->tv_nsec);
}

// Receives one message at a time, so that an overrun does not discard messages. The time limit is
// checked after each message, as in the kernel.
int receive_many(Socket& socket, int fd, mmsghdr* messages, unsigned count, int flags,
                 const timespec* limit) {
  timespec began{};
  ::clock_gettime(CLOCK_MONOTONIC, &began);
  unsigned got = 0;
  while (got < count) {
    const ssize_t received = receive(socket, fd, messages[got].msg_hdr, flags & ~MSG_WAITFORONE);
    if (received < 0) {
      if (got != 0 && errno == ENOBUFS) socket.overrun = true;
      return got != 0 ? static_cast<int>(got) : -1;
    }
    messages[got++].msg_len = static_cast<unsigned>(received);
    if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
    if (has_passed(limit, began)) break;
  }
  return static_cast<int>(got);
}

int open_direct(int type, int protocol) {
  const int fd = libc().socket(AF_NETLINK, type, protocol);
  if (fd < 0) return -1;
  forget_descriptor(fd);
  if (add(fd, Socket::Kind::kDirect) != nullptr) return fd;
  libc().close(fd);
  errno = EMFILE;
  return -1;
}

int open_socket(int type, int protocol) {
  const int flags = type & (SOCK_CLOEXEC | SOCK_NONBLOCK);
  const int fd = settings().direct ? open_direct(type, protocol) : open_served(flags);
  Socket* socket = fd >= 0 ? find(fd) : nullptr;
  if (socket == nullptr) return fd;
  socket->type = type & ~flags;
  socket->known = true;
  return fd;
}

int note_copy(int fd, int copy) {
  if (copy >= 0 && copy != fd) share_descriptor(fd, copy);
  return copy;
}

int after_fcntl(int fd, int command, int result) {
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? note_copy(fd, result) : result;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  if (domain == AF_NETLINK && protocol == NETLINK_CONNECTOR) return open_socket(type, protocol);
  const int fd = libc().socket(domain, type, protocol);
  forget_descriptor(fd);
  return fd;
}

int bind(int fd, const sockaddr* address, socklen_t bytes) noexcept {
  Socket* socket = served_and_checked(fd);
  return socket != nullptr ? bind_port(*socket, address, bytes) : libc().bind(fd, address, bytes);
}

int connect(int fd, const sockaddr* address, socklen_t bytes) {
  Socket* socket = served_and_checked(fd);
  if (socket == nullptr) return libc().connect(fd, address, bytes);
  bind_if_unbound(*socket);
  return 0;  // the kernel is the only possible peer
}

int getsockname(int fd, sockaddr* address, socklen_t* bytes) noexcept {
  Socket* socket = served_and_checked(fd);
  return socket != nullptr ? own_name(*socket, address, bytes)
                           : libc().getsockname(fd, address, bytes);
}

int getpeername(int fd, sockaddr* address, socklen_t* bytes) noexcept {
  return served_and_checked(fd) != nullptr ? kernel_name(address, bytes)
                                           : libc().getpeername(fd, address, bytes);
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t bytes) noexcept {
  Socket* socket = served_and_checked(fd);
  int result = 0;
  if (socket != nullptr && set_option(*socket, level, option, value, bytes, result)) return result;
  if (socket == nullptr) return libc().setsockopt(fd, level, option, value, bytes);
  return with_options(*socket, fd, [&](int holder) {
    return libc().setsockopt(holder, level, option, value, bytes);
  });
}

int getsockopt(int fd, int level, int option, void* value, socklen_t* bytes) noexcept {
  Socket* socket = served_and_checked(fd);
  int result = 0;
  if (socket != nullptr && get_option(*socket, level, option, value, bytes, result)) return result;
  if (socket == nullptr) return libc().getsockopt(fd, level, option, value, bytes);
  return with_options(*socket, fd, [&](int holder) {
    return libc().getsockopt(holder, level, option, value, bytes);
  });
}

ssize_t send(int fd, const void* buffer, size_t bytes, int flags) {
  if (Socket* socket = find(fd)) {
    const ssize_t sent = transmit_from(*socket, fd, buffer, bytes, flags, nullptr, 0);
    if (answered(sent)) return sent;
  }
  return libc().send(fd, buffer, bytes, flags);
}

ssize_t sendto(int fd, const void* buffer, size_t bytes, int flags, const sockaddr* address,
               socklen_t address_bytes) {
  if (Socket* socket = find(fd)) {
    const ssize_t sent = transmit_from(*socket, fd, buffer, bytes, flags, address, address_bytes);
    if (answered(sent)) return sent;
  }
  return libc().sendto(fd, buffer, bytes, flags, address, address_bytes);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (Socket* socket = find(fd)) {
    const ssize_t sent = transmit(*socket, fd, *message, flags);
    if (answered(sent)) return sent;
  }
  return libc().sendmsg(fd, message, flags);
}

int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  Socket* socket = find(fd);
  if (socket == nullptr) return libc().sendmmsg(fd, messages, count, flags);
  unsigned done = 0;
  for (; done < count; ++done) {
    const ssize_t sent = transmit(*socket, fd, messages[done].msg_hdr, flags);
    if (!answered(sent)) return libc().sendmmsg(fd, messages, count, flags);
    if (sent < 0) return done != 0 ? static_cast<int>(done) : -1;
    messages[done].msg_len = static_cast<unsigned>(sent);
  }
  return static_cast<int>(done);
}

ssize_t write(int fd, const void* buffer, size_t bytes) {
  if (Socket* socket = find(fd)) {
    const ssize_t sent = transmit_from(*socket, fd, buffer, bytes, 0, nullptr, 0);
    if (answered(sent)) return sent;
  }
  return libc().write(fd, buffer, bytes);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  Socket* socket = find(fd);
  if (socket != nullptr && count > 0) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t sent = transmit(*socket, fd, message, 0);
    if (answered(sent)) return sent;
  }
  return libc().writev(fd, parts, count);
}

ssize_t recv(int fd, void* buffer, size_t bytes, int flags) {
  if (Socket* socket = served(fd)) {
    const ssize_t received = receive_into(*socket, fd, buffer, bytes, flags);
    if (answered(received)) return received;
  }
  return libc().recv(fd, buffer, bytes, flags);
}

ssize_t recvfrom(int fd, void* __restrict buffer, size_t bytes, int flags,
                 sockaddr* __restrict address, socklen_t* __restrict address_bytes) {
  if (Socket* socket = served(fd)) {
    const ssize_t received =
        receive_from(*socket, fd, buffer, bytes, flags, address, address_bytes);
    if (answered(received)) return received;
  }
  return libc().recvfrom(fd, buffer, bytes, flags, address, address_bytes);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (Socket* socket = served(fd)) {
    const ssize_t received = receive(*socket, fd, *message, flags);
    if (answered(received)) return received;
  }
  return libc().recvmsg(fd, message, flags);
}

int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* limit) {
  if (Socket* socket = served(fd)) {
    const int received = receive_many(*socket, fd, messages, count, flags, limit);
    if (answered(received)) return received;
  }
  return libc().recvmmsg(fd, messages, count, flags, limit);
}

ssize_t read(int fd, void* buffer, size_t bytes) {
  if (Socket* socket = served(fd)) {
    const ssize_t received = receive_into(*socket, fd, buffer, bytes, 0);
    if (answered(received)) return received;
  }
  return libc().read(fd, buffer, bytes);
}

ssize_t readv(int fd, const iovec* parts, int count) {
  Socket* socket = served(fd);
  if (socket != nullptr && count > 0) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t received = receive(*socket, fd, message, 0);
    if (answered(received)) return received;
  }
  return libc().readv(fd, parts, count);
}

// The functions of _FORTIFY_SOURCE. libc aborts if the size is too large for the buffer.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): they are libc's
ssize_t __recv_chk(int fd, void* buffer, size_t bytes, size_t room, int flags) {
  Socket* socket = bytes <= room ? served(fd) : nullptr;
  if (socket != nullptr) {
    const ssize_t received = receive_into(*socket, fd, buffer, bytes, flags);
    if (answered(received)) return received;
  }
  return libc().recv_chk(fd, buffer, bytes, room, flags);
}

ssize_t __recvfrom_chk(int fd, void* buffer, size_t bytes, size_t room, int flags,
                       sockaddr* address, socklen_t* address_bytes) {
  Socket* socket = bytes <= room ? served(fd) : nullptr;
  if (socket != nullptr) {
    const ssize_t received =
        receive_from(*socket, fd, buffer, bytes, flags, address, address_bytes);
    if (answered(received)) return received;
  }
  return libc().recvfrom_chk(fd, buffer, bytes, room, flags, address, address_bytes);
}

ssize_t __read_chk(int fd, void* buffer, size_t bytes, size_t room) {
  Socket* socket = bytes <= room ? served(fd) : nullptr;
  if (socket != nullptr) {
    const ssize_t received = receive_into(*socket, fd, buffer, bytes, 0);
    if (answered(received)) return received;
  }
  return libc().read_chk(fd, buffer, bytes, room);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

int shutdown(int fd, int how) noexcept {
  if (served_and_checked(fd) == nullptr) return libc().shutdown(fd, how);
  errno = EOPNOTSUPP;
  return -1;
}

int close(int fd) {
  forget_descriptor(fd);
  return libc().close(fd);
}

int close_range(unsigned first, unsigned last, int flags) noexcept {
  if (libc().close_range == nullptr) {
    errno = ENOSYS;
    return -1;
  }
  constexpr int kCloexecOnly = 4;  // CLOSE_RANGE_CLOEXEC: closes nothing before an exec
  if ((flags & kCloexecOnly) == 0) forget_descriptor_range(first, last);
  return libc().close_range(first, last, flags);
}

void closefrom(int first) noexcept {
  forget_descriptor_range(static_cast<unsigned>(std::max(first, 0)), ~0U);
  if (libc().closefrom != nullptr) libc().closefrom(first);
}

int dup(int fd) noexcept { return note_copy(fd, libc().dup(fd)); }

int dup2(int fd, int copy) noexcept { return note_copy(fd, libc().dup2(fd, copy)); }

int dup3(int fd, int copy, int flags) noexcept {
  return note_copy(fd, libc().dup3(fd, copy, flags));
}

// The argument of every command is at most as wide as a pointer; a missing one is ignored.
int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return after_fcntl(fd, command, libc().fcntl(fd, command, argument));
}

int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const auto next = libc().fcntl64 != nullptr ? libc().fcntl64 : libc().fcntl;
  return after_fcntl(fd, command, next(fd, command, argument));
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  const int result = libc().epoll_ctl(epoll, operation, fd, event);
  if (result != 0) return result;
  if (Socket* socket = served(fd)) note_epoll(*socket, epoll, operation, fd, event);
  return result;
}

#ifdef KNELL_COMPAT_FSTAT
// While the descriptor is a timer, reports the stand-in, since the program expects a socket.
int fstat(int fd, struct stat* out) noexcept {
  Socket* socket = served(fd);
  if (socket == nullptr || socket->timer_ns == 0) return libc().fstat(fd, out);
  return with_options(*socket, fd, [&](int holder) { return libc().fstat(holder, out); });
}

int fstat64(int fd, struct stat64* out) noexcept {
  Socket* socket = served(fd);
  if (socket == nullptr || socket->timer_ns == 0) return libc().fstat64(fd, out);
  return with_options(*socket, fd, [&](int holder) { return libc().fstat64(holder, out); });
}
#endif

uid_t geteuid(void) noexcept { return settings().as_root ? 0 : libc().geteuid(); }

uid_t getuid(void) noexcept { return settings().as_root ? 0 : libc().getuid(); }

}  // extern "C"
#pragma GCC visibility pop
