// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>
#include <linux/netlink.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace knell::compat {

inline constexpr size_t kHeadersBytes = sizeof(nlmsghdr) + sizeof(knell_cn_msg);

// The first bytes of a message, contiguous, up to the first word of the event's data; missing bytes
// are 0.
struct Head {
  static constexpr size_t kAckAt = sizeof(nlmsghdr) + offsetof(knell_cn_msg, ack);
  static constexpr size_t kWhatAt = kHeadersBytes + offsetof(knell_proc_event, what);
  static constexpr size_t kErrorAt = kHeadersBytes + offsetof(knell_proc_event, data);
  std::array<std::byte, kErrorAt + sizeof(uint32_t)> bytes{};
  size_t total = 0;  // size of the whole message

  nlmsghdr netlink() const;
  knell_cn_msg connector() const;
  uint32_t word(size_t offset) const;
};
Head head_of(const iovec* parts, size_t count, size_t most = SIZE_MAX);

// A request to the process connector. Like the kernel, reads only the first message of a datagram,
// and requires exactly 4 or 8 bytes of payload.
struct Request {
  nlmsghdr netlink{};
  knell_cn_msg connector{};
  uint32_t op = 0;
  std::optional<uint32_t> mask;  // set if the payload has 8 bytes
};
std::optional<Request> parse_request(const Head& head);

// Encodes a request: 8 bytes of payload if `mask` is set, else 4. The headers are copied from
// `like`.
struct RequestBytes {
  std::array<std::byte, kHeadersBytes + sizeof(knell_proc_input)> bytes{};
  size_t size = 0;
};
RequestBytes make_request(const Request& like, uint32_t op, std::optional<uint32_t> mask,
                          uint32_t nonce);

// A unique number, not 0, for requests of the shim, whose acks the program must not receive.
uint32_t own_nonce();

}  // namespace knell::compat
