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

// Decodes one event or ack of the process events connector from the bytes of one datagram, at any
// alignment. nullopt: the bytes are none (another length, another connector, an unknown type). The
// caller must check the sender's address: the bytes prove nothing about the sender.
std::optional<Raw> decode(std::span<const std::byte> datagram);

// The datagram that a kernel would send for the event. A `lost` event has no such form: it becomes
// all zeros.
std::array<std::byte, kDatagramBytes> encode(const Raw& raw);

struct Request {
  std::array<std::byte, kNetlinkHeaderBytes + kCnHeaderBytes + sizeof(knell_proc_input)> buffer{};
  size_t size = 0;
  std::span<const std::byte> bytes() const { return {buffer.data(), size}; }
};

// A complete request: with a mask the 8 bytes of Linux 6.6, without one the 4 bytes of every
// kernel. `op` is one of knell_mcast_op, or deliberately invalid (the probe). Its ack has nonce + 1
// in u.ack.ack.
Request encode_request(uint32_t op, std::optional<uint32_t> mask, uint32_t nonce);

}  // namespace knell::event
