// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace knell::server {

// The sequence numbers of a compatibility listener that may not see all processes. The kernel's
// numbers count every event of a CPU. They would have gaps for the hidden events, which would
// reveal their number and which an unfiltered client takes for loss. So the datagrams are numbered
// anew for each CPU, and a gap is a loss.
class SequenceNumbers {
 public:
  // Writes the next number into the datagram that is sent next. Bytes of any other size are left as
  // they are.
  void assign(std::span<std::byte> datagram);
  // `total`: events lost so far. The next number skips those lost since the last call.
  void skip_lost(uint64_t total);

  // For the next daemon. used(): of a client whose datagrams are numbered anew.
  std::string save() const;
  void restore(std::string_view saved);
  bool used() const { return used_; }
  void use() { used_ = true; }

 private:
  std::vector<uint32_t> next_;  // by CPU
  uint64_t lost_ = 0;
  uint32_t skip_ = 0;
  bool used_ = false;
};

}  // namespace knell::server
