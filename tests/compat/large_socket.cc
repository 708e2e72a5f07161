// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A library to preload into a client that runs natively, for comparison: gives its connector
// sockets a receive buffer so large that they lose nothing on a busy machine. Needs CAP_NET_ADMIN.
#include <dlfcn.h>
#include <linux/netlink.h>
#include <sys/socket.h>

namespace {

// The kernel charges 768 bytes and more for an event; memory is used only while events wait.
constexpr int kBufferBytes = 256 << 20;

int real_setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  static const auto real =
      reinterpret_cast<decltype(&::setsockopt)>(::dlsym(RTLD_NEXT, "setsockopt"));
  return real(fd, level, name, value, size);
}

int integer_option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

}  // namespace

extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  static const auto real = reinterpret_cast<decltype(&::socket)>(::dlsym(RTLD_NEXT, "socket"));
  const int fd = real(domain, type, protocol);
  if (fd >= 0 && domain == AF_NETLINK && protocol == NETLINK_CONNECTOR)
    (void)real_setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof kBufferBytes);
  return fd;
}

// A client that asks for a smaller buffer keeps the large one.
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE) &&
      integer_option(fd, SO_DOMAIN) == AF_NETLINK &&
      integer_option(fd, SO_PROTOCOL) == NETLINK_CONNECTOR)
    return 0;
  return real_setsockopt(fd, level, name, value, size);
}

}  // extern "C"
