// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace knell::server {

// The sequence numbers of a compatibility listener that may not hear of everybody. The kernel's,
// which count every event of a CPU, would have holes where the others' events are, and tell how
// many they were; a client that hears everything takes a hole for a loss. So its datagrams are
// counted anew, by CPU, and a hole is what was lost.
class Numbering {
 public:
  // Numbers a datagram that is sent next. What is none is left alone.
  void number(std::span<std::byte> datagram);
  // `total` events were lost so far: the next number leaves out the new ones.
  void lost(uint64_t total);

 private:
  std::vector<uint32_t> next_;  // by CPU
  uint64_t lost_ = 0;
  uint32_t skip_ = 0;
};

}  // namespace knell::server
