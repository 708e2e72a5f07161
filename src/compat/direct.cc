// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/direct.h"

#include <arpa/inet.h>
#include <linux/filter.h>

#include <atomic>
#include <cerrno>

#include "compat/libc.h"
#include "compat/settings.h"
#include "filter/classic_bpf.h"

namespace knell::compat {
namespace {

// The kernel acks it with EINVAL and does not change its count of listeners
constexpr uint32_t kInvalidOp = 0x6b6e6c6c;
constexpr size_t kAckAt = Head::kAckAt;

bool attach(int fd, const filter::ClassicBpf& program) {
  if (program.empty()) {
    const int ignored = 0;
    const int done = libc().setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
    return done == 0 || errno == ENOENT;
  }
  const sock_fprog attached{static_cast<unsigned short>(program.size()),
                            const_cast<sock_filter*>(program.data())};
  return libc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) == 0;
}

filter::ClassicBpf nothing_passes() {
  filter::ClassicBpf program;
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  return program;
}

// Passes the events of `mask` by the selected rule, and acks except the one of the shim's request.
filter::ClassicBpf program_for(uint32_t mask, uint32_t shim_ack) {
  const uint32_t wanted = filter::as_released(settings().rule, mask);
  const filter::ClassicBpf rest = filter::connector_filter(wanted, true);
  filter::ClassicBpf program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kAckAt));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(shim_ack), 0, 1));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  program.append(rest);
  if (rest.empty()) program.push_back(BPF_STMT(BPF_RET | BPF_K, UINT32_MAX));
  return program;
}

bool send_bytes(int fd, const RequestBytes& request) {
  return libc().send(fd, request.bytes.data(), request.size, 0) ==
         static_cast<ssize_t>(request.size);
}

Request blank() {
  Request request{};
  request.netlink.nlmsg_type = NLMSG_DONE;
  return request;
}

// Sends a request. Returns whether it was acked: the kernel queues the ack before send() returns.
bool acked(int fd, uint32_t op, std::optional<uint32_t> mask) {
  const uint32_t nonce = own_nonce();
  if (!send_bytes(fd, make_request(blank(), op, mask, nonce))) return false;
  Head head;
  iovec part{.iov_base = head.bytes.data(), .iov_len = head.bytes.size()};
  while (libc().recv(fd, part.iov_base, part.iov_len, MSG_DONTWAIT) > 0) {
    if (head.word(kAckAt) == nonce + 1) return true;
  }
  return false;
}

// Sends LISTEN first, since the kernel acks nothing without a listener, and IGNORE at the end, so
// that the count of listeners does not change.
std::optional<bool> probe(int fd) {
  sockaddr_nl group{};
  group.nl_family = AF_NETLINK;
  group.nl_groups = KNELL_CN_IDX_PROC;
  if (!attach(fd, filter::only_acks_filter()) ||
      libc().bind(fd, reinterpret_cast<const sockaddr*>(&group), sizeof group) != 0 ||
      !acked(fd, KNELL_MCAST_LISTEN, std::nullopt))
    return std::nullopt;
  const bool known = acked(fd, kInvalidOp, KNELL_EVENT_ALL);
  send_bytes(fd, make_request(blank(), KNELL_MCAST_IGNORE, std::nullopt, own_nonce()));
  return known;
}

// A program that never sends a mask was written for an older kernel, and may use its own BPF
// filter, so the shim attaches none.
ssize_t send_unchanged(Socket& socket, int fd, const msghdr& message, int flags,
                       const Request& request) {
  const ssize_t sent = libc().sendmsg(fd, &message, flags);
  if (sent >= 0 && request.op == KNELL_MCAST_LISTEN) socket.listening = true;
  if (sent >= 0 && request.op == KNELL_MCAST_IGNORE) socket.listening = false;
  return sent;
}

ssize_t add_rule(int fd, const msghdr& message, int flags, const Request& request) {
  const uint32_t asked = request.mask.value_or(0);
  const uint32_t wanted = filter::as_released(settings().rule, asked);
  // The kernel's filter may pass more than this rule, never less.
  const bool differs = wanted != filter::normalise(asked);
  if (request.op != KNELL_MCAST_IGNORE && settings().rule == filter::Rule::kV6)
    attach(fd, differs ? filter::connector_filter(wanted, true) : filter::ClassicBpf());
  return libc().sendmsg(fd, &message, flags);
}

}  // namespace

Translation translate(uint32_t op, bool counted) {
  using Filter = Translation::Filter;
  switch (op) {
    case KNELL_MCAST_LISTEN:
      return {.filter = Filter::kMask, .take_back = counted, .counted_after = true};
    case KNELL_MCAST_IGNORE:
      // Without a LISTEN before it, the IGNORE would cancel the LISTEN of another socket.
      return {.filter = Filter::kNothingPasses, .send = counted, .counted_after = false};
    default:
      return {.filter = Filter::kMask, .counted_after = counted};  // acked with EINVAL
  }
}

std::optional<bool> kernel_has_filter() {
  static std::atomic<int> known = -1;
  if (known >= 0) return known == 1;
  const int error = errno;
  const int fd = libc().socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  std::optional<bool> found;
  if (fd >= 0) {
    found = probe(fd);
    libc().close(fd);
  }
  if (found) known = *found ? 1 : 0;
  errno = error;
  return found;
}

ssize_t send_direct(Socket& socket, int fd, const msghdr& message, int flags,
                    const Request& request) {
  if (kernel_has_filter().value_or(true)) return add_rule(fd, message, flags, request);
  if (!request.mask && !socket.with_mask)
    return send_unchanged(socket, fd, message, flags, request);
  socket.with_mask = true;
  const Translation translation = translate(request.op, socket.listening);
  const uint32_t nonce = own_nonce();
  const bool attached = translation.filter == Translation::Filter::kMask
                            ? attach(fd, program_for(request.mask.value_or(0), nonce + 1))
                            : attach(fd, nothing_passes());
  if (!attached) return -1;
  if (translation.send &&
      !send_bytes(fd, make_request(request, request.op, std::nullopt, request.connector.ack)))
    return -1;
  if (translation.take_back)
    send_bytes(fd, make_request(blank(), KNELL_MCAST_IGNORE, std::nullopt, nonce));
  socket.listening = translation.counted_after;
  size_t total = 0;
  for (size_t i = 0; i < message.msg_iovlen; ++i) total += message.msg_iov[i].iov_len;
  return static_cast<ssize_t>(total);
}

}  // namespace knell::compat
