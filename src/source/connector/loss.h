// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell::source {

// Reads how many datagrams the kernel dropped because a socket's queue was full. Does not own `fd`.
class LossCounter {
 public:
  explicit LossCounter(int fd) : fd_(fd), taken_(drops()) {}

  // Number of datagrams dropped since the last take().
  uint64_t pending() const { return static_cast<uint32_t>(drops() - taken_); }
  // As pending(), and counts these drops as taken.
  uint64_t take();
  // For a process that goes on with the socket.
  uint32_t taken() const { return taken_; }
  void restore(uint32_t taken) { taken_ = taken; }
  uint64_t total() const { return total_; }  // sum of all results of take()

 private:
  uint32_t drops() const;

  int fd_;
  uint32_t taken_;
  uint64_t total_ = 0;
};

}  // namespace knell::source
