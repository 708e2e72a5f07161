// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/socket.h"

#include <linux/connector.h>
#include <linux/netlink.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>

#include "event/cn_message.h"

namespace knell::source {
namespace {

constexpr size_t kMostBufferBytes = 0x3fffffff;  // the kernel doubles it, and stores it in an int

bool set_int(int fd, int option, int value) {
  return ::setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0;
}

}  // namespace

Result<UniqueFd> open_connector() {
  UniqueFd fd(::socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  if (!fd) return errno_error("open the process connector");
  return fd;
}

Buffer size_buffer(int fd, size_t wanted_bytes) {
  const int wanted = static_cast<int>(std::min(wanted_bytes, kMostBufferBytes));
  Buffer buffer;
  buffer.forced = set_int(fd, SO_RCVBUFFORCE, wanted);
  if (!buffer.forced) set_int(fd, SO_RCVBUF, wanted);
  int given = 0;
  socklen_t size = sizeof given;
  if (::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &given, &size) == 0) {
    buffer.bytes = static_cast<uint64_t>(given);
  }
  buffer.clamped = buffer.bytes < 2 * static_cast<uint64_t>(wanted);
  return buffer;
}

Result<void> attach_filter(int fd, std::span<const sock_filter> program) {
  if (program.empty()) {
    int ignored = 0;
    const int detached = ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
    if (detached != 0 && errno != ENOENT) return errno_error("detach the socket filter");
    return {};
  }
  const sock_fprog attached{static_cast<unsigned short>(program.size()),
                            const_cast<sock_filter*>(program.data())};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) != 0) {
    return errno_error("attach the socket filter");
  }
  return {};
}

Result<void> attach_program(int fd, int program) {
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) != 0)
    return errno_error("attach a bpf program to the socket");
  return {};
}

Result<void> join_events(int fd) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_pid = 0;  // the kernel chooses one; our own pid could be used for one socket only
  address.nl_groups = CN_IDX_PROC;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno_error("join the group of process events");
  }
  return {};
}

int send_request(int fd, uint32_t op, std::optional<uint32_t> mask, uint32_t nonce) {
  const event::Request request = event::encode_request(op, mask, nonce);
  ssize_t sent;
  do {
    sent = ::send(fd, request.bytes().data(), request.bytes().size(), 0);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

uint32_t random_nonce() {
  uint32_t nonce = 0;
  if (::getrandom(&nonce, sizeof nonce, GRND_NONBLOCK) != sizeof nonce) {
    timespec now{};  // early in the boot; the nonce need only differ from those of other requests
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    nonce = static_cast<uint32_t>(now.tv_nsec) * 2654435761U;
  }
  return nonce;
}

}  // namespace knell::source
