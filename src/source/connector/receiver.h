// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "event/raw.h"

namespace knell::source {

// Reads datagrams many at a time and hands out those that the kernel sent.
class Receiver {
 public:
  enum class Fill {
    kSome,
    kEmpty,
    kOverflow,  // ENOBUFS: events were dropped, and will be until the queue was read empty
    kBroken     // errno says how
  };

  Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // To be called when next() gave nothing more.
  Fill fill(int fd);
  // Whether the last fill() took all there was at that moment (or stopped at an error still to be
  // told): the next one would most likely find nothing. Says so once.
  bool take_dry() { return std::exchange(ran_dry_, false); }

  // The next event or ack in the batch, with what was not the kernel's left out; nullopt: fill().
  std::optional<event::Raw> next();
  bool empty() const { return next_ == count_; }

 private:
  // Picked by measuring: 8, 32 and 64 cost the same, 2-4 % less than recvfrom() for each event; and
  // a lone event costs one call, not two.
  static constexpr size_t kBatch = 32;
  static constexpr size_t kRoom = 128;  // longer than an event, so that a longer one is seen to be

  std::array<mmsghdr, kBatch> headers_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_nl, kBatch> senders_{};
  std::array<std::array<std::byte, kRoom>, kBatch> bytes_{};
  size_t next_ = 0, count_ = 0;
  bool ran_dry_ = false;
};

}  // namespace knell::source
