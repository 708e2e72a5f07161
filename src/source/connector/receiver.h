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
#include "handover/state.h"

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

  // `kept`: where to store the datagrams, until saved(); nullptr: until the next fill().
  explicit Receiver(handover::Intake* kept = nullptr);
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

  // With `kept`: no further fill() is possible before saved(). consumed(): how many datagrams of
  // this cycle next() has passed. saved(): what these led to is committed.
  bool full() const {
    return kept_ != nullptr && next_ == count_ && count_ + kBatch > kept_->kSlots;
  }
  uint64_t cycle() const { return kept_->cycle; }
  uint64_t consumed() const { return next_; }
  bool has_received() const { return next_ != count_; }
  void saved();
  // Goes on with what an earlier process had received.
  void restore(uint64_t cycle, uint64_t consumed);

 private:
  // Measured: batches of 8, 32 and 64 cost the same, 2-4 % less than one recvfrom() for each event;
  // and a single event costs one call, not two.
  static constexpr size_t kBatch = 32;
  // Longer than an event (76 bytes), so that a longer datagram is detected
  static constexpr size_t kRoom = handover::Intake::kRoom;
  static_assert(sizeof(sockaddr_nl) <= handover::Intake::kAddress);

  struct Batch {
    std::array<mmsghdr, kBatch> headers{};
    std::array<std::array<std::byte, handover::Intake::kAddress>, kBatch> senders{};
    std::array<std::array<std::byte, kRoom>, kBatch> bytes{};
  };
  mmsghdr& header(size_t i) { return kept_ != nullptr ? kept_->headers[i] : own_.headers[i]; }
  std::byte* sender(size_t i) {
    return kept_ != nullptr ? kept_->senders[i].data() : own_.senders[i].data();
  }
  std::byte* bytes(size_t i) {
    return kept_ != nullptr ? kept_->bytes[i].data() : own_.bytes[i].data();
  }

  handover::Intake* kept_;
  Batch own_;
  std::array<iovec, kBatch> vectors_{};
  size_t next_ = 0, count_ = 0;  // indexes of slots
  bool emptied_ = false;
};

}  // namespace knell::source
