// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "event/raw.h"

namespace knell::event {

inline constexpr size_t kNetlinkHeaderBytes = 16;  // struct nlmsghdr
inline constexpr size_t kCnHeaderBytes = 20;       // struct cn_msg without its payload
inline constexpr size_t kDatagramBytes = KNELL_CN_DATAGRAM_BYTES;

// One event or ack of the process events connector, from the bytes of one datagram, at any
// alignment. nullopt: not one (another length, another connector, a type we do not know). Who sent
// it is the caller's to check, by the sender's address: nothing in these bytes is proof.
std::optional<Raw> decode(std::span<const std::byte> datagram);

// The datagram a kernel would send for it. A `lost` event has no such form: it becomes all zeros.
std::array<std::byte, kDatagramBytes> encode(const Raw& raw);

struct Request {
  std::array<std::byte, kNetlinkHeaderBytes + kCnHeaderBytes + sizeof(knell_proc_input)> buffer{};
  size_t size = 0;
  std::span<const std::byte> bytes() const { return {buffer.data(), size}; }
};

// A request, whole: with a mask the 8 bytes of Linux 6.6, without one the 4 bytes of every kernel.
// `op` is one of knell_mcast_op, or an invalid one on purpose (the probe). Its ack carries nonce +
// 1 in u.ack.ack.
Request encode_request(uint32_t op, std::optional<uint32_t> mask, uint32_t nonce);

}  // namespace knell::event
