// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell::source {

// Reads how many datagrams the kernel dropped because a socket's queue was full. Does not own `fd`.
class LossCounter {
 public:
  explicit LossCounter(int fd) : fd_(fd), taken_(read().drops) {}

  // How many datagrams were dropped since the last take().
  uint64_t pending() const { return static_cast<uint32_t>(read().drops - taken_); }
  // The same; these drops are taken then.
  uint64_t take();
  uint64_t total() const { return total_; }  // the sum of what take() returned

  bool queue_empty() const { return read().queued == 0; }

 private:
  struct Reading {
    uint32_t drops = 0, queued = 0;
  };
  Reading read() const;

  int fd_;
  uint32_t taken_;
  uint64_t total_ = 0;
};

}  // namespace knell::source
