// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <knell/cn_proc.h>
#include <linux/netlink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "compat/socket_calls.h"

namespace knell::compat {
namespace {

int fail(int error) {
  errno = error;
  return -1;
}

bool port_taken(uint32_t port) {
  bool taken = false;
  for_each_socket(
      [&](const Socket& socket) { taken = taken || (socket.bound && socket.port == port); });
  return taken;
}

void bind_somewhere(Socket& socket) {
  constexpr uint32_t kNoProcess = 0xfffff000;  // -4096 and below, as in the kernel
  uint32_t port = static_cast<uint32_t>(::getpid());
  for (uint32_t next = kNoProcess; port_taken(port); --next) port = next;
  socket.port = port;
  socket.bound = true;
}

int put(const void* value, size_t size, void* out, socklen_t* bytes) {
  if (bytes == nullptr || out == nullptr) return fail(EFAULT);
  std::memcpy(out, value, std::min<size_t>(*bytes, size));
  *bytes = static_cast<socklen_t>(size);
  return 0;
}

int put_int(int number, void* out, socklen_t* bytes) {
  if (bytes == nullptr || *bytes < sizeof number) return fail(EINVAL);
  return put(&number, sizeof number, out, bytes);
}

// Options that are on or off, and have no effect here.
bool is_flag(int option) {
  switch (option) {
    case NETLINK_PKTINFO:
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_LISTEN_ALL_NSID:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
      return true;
    default:
      return false;
  }
}

int get_netlink_option(const Socket& socket, int option, void* value, socklen_t* bytes) {
  switch (option) {
    case NETLINK_NO_ENOBUFS:
      return put_int(socket.no_enobufs ? 1 : 0, value, bytes);
    case NETLINK_LIST_MEMBERSHIPS: {
      const uint32_t groups = socket.groups;
      return put(&groups, sizeof groups, value, bytes);
    }
    default:
      if (!is_flag(option)) return fail(ENOPROTOOPT);
      return put_int((socket.flags >> option & 1) != 0 ? 1 : 0, value, bytes);
  }
}

}  // namespace

int bind_port(Socket& socket, const sockaddr* address, socklen_t bytes) {
  sockaddr_nl wanted{};
  if (bytes < sizeof wanted) return fail(EINVAL);
  std::memcpy(&wanted, address, sizeof wanted);
  if (wanted.nl_family != AF_NETLINK) return fail(EINVAL);
  if (socket.bound && wanted.nl_pid != socket.port) return fail(EINVAL);
  if (!socket.bound && wanted.nl_pid != 0) {
    if (port_taken(wanted.nl_pid)) return fail(EADDRINUSE);
    socket.port = wanted.nl_pid;
    socket.bound = true;
  }
  bind_if_unbound(socket);
  socket.groups = wanted.nl_groups;
  return 0;
}

void bind_if_unbound(Socket& socket) {
  if (!socket.bound) bind_somewhere(socket);
}

int own_name(Socket& socket, sockaddr* address, socklen_t* bytes) {
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  name.nl_pid = socket.port;
  name.nl_groups = socket.groups;
  return put(&name, sizeof name, address, bytes);
}

int kernel_name(sockaddr* address, socklen_t* bytes) {
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  return put(&name, sizeof name, address, bytes);
}

bool set_option(Socket& socket, int level, int option, const void* value, socklen_t bytes,
                int& result) {
  if (level != SOL_NETLINK) return false;
  uint32_t number = 0;
  if (value != nullptr) std::memcpy(&number, value, std::min<size_t>(bytes, sizeof number));
  result = 0;
  if (option == NETLINK_NO_ENOBUFS) socket.no_enobufs = number != 0;
  if (is_flag(option)) {
    const uint32_t bit = uint32_t{1} << option;
    number != 0 ? socket.flags.fetch_or(bit) : socket.flags.fetch_and(~bit);
  }
  if (option == NETLINK_ADD_MEMBERSHIP && number == KNELL_CN_IDX_PROC)
    socket.groups |= KNELL_CN_IDX_PROC;
  if (option == NETLINK_DROP_MEMBERSHIP && number == KNELL_CN_IDX_PROC)
    socket.groups &= ~KNELL_CN_IDX_PROC;
  return true;
}

bool get_option(Socket& socket, int level, int option, void* value, socklen_t* bytes, int& result) {
  if (level == SOL_NETLINK) {
    result = get_netlink_option(socket, option, value, bytes);
    return true;
  }
  if (level != SOL_SOCKET) return false;
  switch (option) {
    case SO_DOMAIN:
      result = put_int(AF_NETLINK, value, bytes);
      return true;
    case SO_PROTOCOL:
      result = put_int(NETLINK_CONNECTOR, value, bytes);
      return true;
    case SO_TYPE:
      result = put_int(socket.type, value, bytes);
      return true;
    default:
      return false;
  }
}

}  // namespace knell::compat
