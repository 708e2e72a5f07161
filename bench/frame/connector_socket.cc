// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/connector_socket.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace knell::bench {

UniqueFd open_connector(int buffer_bytes) {
  UniqueFd sock(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = KNELL_CN_IDX_PROC;
  if (!sock || ::bind(sock.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  if (buffer_bytes == 0) return sock;
  if (::setsockopt(sock.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0)
    (void)::setsockopt(sock.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  return sock;
}

bool ask_connector(int sock, Request kind, uint32_t op, uint32_t mask, uint32_t nonce) {
  struct {
    nlmsghdr header;
    knell_cn_msg message;
    knell_proc_input input;
  } request{};
  static_assert(sizeof request == 44);
  const size_t payload = kind == Request::kFiltered ? sizeof request.input : sizeof op;
  request.header.nlmsg_len = static_cast<uint32_t>(sizeof request - sizeof request.input + payload);
  request.header.nlmsg_type = NLMSG_DONE;
  request.message.idx = KNELL_CN_IDX_PROC;
  request.message.val = KNELL_CN_VAL_PROC;
  request.message.ack = nonce;
  request.message.len = static_cast<uint16_t>(payload);
  request.input = {op, mask};
  return ::send(sock, &request, request.header.nlmsg_len, 0) ==
         static_cast<ssize_t>(request.header.nlmsg_len);
}

std::optional<knell_proc_event> receive_event(int sock) {
  unsigned char bytes[4096];  // as everybody's
  const ssize_t got = ::recv(sock, bytes, sizeof bytes, 0);
  if (got >= 0) errno = 0;
  if (got != KNELL_CN_DATAGRAM_BYTES) return std::nullopt;
  knell_proc_event event;
  std::memcpy(&event, bytes + sizeof(nlmsghdr) + sizeof(knell_cn_msg), sizeof event);
  return event;
}

}  // namespace knell::bench
