// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/request.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace knell::compat {

nlmsghdr Head::netlink() const {
  nlmsghdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

knell_cn_msg Head::connector() const {
  knell_cn_msg message;
  std::memcpy(&message, bytes.data() + sizeof(nlmsghdr), sizeof message);
  return message;
}

uint32_t Head::word(size_t offset) const {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

Head head_of(const iovec* parts, size_t count, size_t most) {
  Head head;
  for (size_t i = 0; i < count && head.total < most; ++i) {
    const size_t here = std::min(parts[i].iov_len, most - head.total);
    if (head.total < head.bytes.size() && here != 0) {
      std::memcpy(head.bytes.data() + head.total, parts[i].iov_base,
                  std::min(here, head.bytes.size() - head.total));
    }
    head.total += here;
  }
  return head;
}

std::optional<Request> parse_request(const Head& head) {
  Request request;
  request.netlink = head.netlink();
  request.connector = head.connector();
  const size_t payload = request.connector.len;
  if (payload != sizeof(uint32_t) && payload != sizeof(knell_proc_input)) return std::nullopt;
  if (request.netlink.nlmsg_len < kHeadersBytes + payload ||
      head.total < request.netlink.nlmsg_len || request.connector.idx != KNELL_CN_IDX_PROC ||
      request.connector.val != KNELL_CN_VAL_PROC)
    return std::nullopt;
  request.op = head.word(kHeadersBytes);
  if (payload == sizeof(knell_proc_input)) {
    request.mask = head.word(kHeadersBytes + offsetof(knell_proc_input, event_type));
  }
  return request;
}

RequestBytes make_request(const Request& like, uint32_t op, std::optional<uint32_t> mask,
                          uint32_t nonce) {
  RequestBytes made;
  const size_t payload = mask ? sizeof(knell_proc_input) : sizeof(uint32_t);
  made.size = kHeadersBytes + payload;
  nlmsghdr netlink = like.netlink;
  netlink.nlmsg_len = static_cast<uint32_t>(made.size);
  knell_cn_msg connector = like.connector;
  connector.idx = KNELL_CN_IDX_PROC;
  connector.val = KNELL_CN_VAL_PROC;
  connector.ack = nonce;
  connector.len = static_cast<uint16_t>(payload);
  const knell_proc_input input{.mcast_op = op, .event_type = mask.value_or(0)};
  std::memcpy(made.bytes.data(), &netlink, sizeof netlink);
  std::memcpy(made.bytes.data() + sizeof netlink, &connector, sizeof connector);
  std::memcpy(made.bytes.data() + kHeadersBytes, &input, payload);
  return made;
}

uint32_t own_nonce() {
  static std::atomic<uint32_t> counter = 0;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const uint32_t mixed =
      (static_cast<uint32_t>(now.tv_nsec) ^ (static_cast<uint32_t>(::getpid()) << 16)) *
          2654435761U +
      counter.fetch_add(1, std::memory_order_relaxed);
  return mixed == 0 || mixed == UINT32_MAX ? 1
                                           : mixed;  // the ack has nonce + 1, and 0 means an event
}

}  // namespace knell::compat
