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

// Reads datagrams in batches and returns those that the kernel sent. Not thread-safe.
class Receiver {
 public:
  enum class Fill {
    kSome,
    kEmpty,
    kOverflow,  // ENOBUFS: events were dropped, and will be until the queue has been read empty
    kBroken     // another error, in errno
  };

  Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // Reads the next batch without blocking. Call it when next() returned nullopt.
  Fill fill(int fd);
  // True: the last fill() got less than a full batch, so the queue was empty then, or the next
  // fill() will return an error. Resets itself: returns true once for each such fill().
  bool take_emptied() { return std::exchange(emptied_, false); }

  // The next event or ack in the batch. Skips datagrams that the kernel did not send. nullopt: the
  // batch is finished, call fill().
  std::optional<event::Raw> next();

 private:
  // Measured: batches of 8, 32 and 64 cost the same, 2-4 % less than one recvfrom() for each event;
  // and a single event costs one call, not two.
  static constexpr size_t kBatch = 32;
  static constexpr size_t kRoom =
      128;  // longer than an event (76 bytes), so that a longer datagram is detected

  std::array<mmsghdr, kBatch> headers_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_nl, kBatch> senders_{};
  std::array<std::array<std::byte, kRoom>, kBatch> bytes_{};
  size_t next_ = 0, count_ = 0;
  bool emptied_ = false;
};

}  // namespace knell::source
