// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "hub/bytes.h"

namespace knell::hub {

// What waits for one listener, oldest first. Bounded: what does not fit is counted, and the hole it
// leaves stands where it belongs, behind what was queued before. See queue.cc.
class Queue {
 public:
  struct Item {
    Bytes bytes;
    bool event = false;  // else an answer, which is a packet of its own
  };
  struct Hole {
    uint64_t count = 0, from_ns = 0, until_ns = 0;  // CLOCK_MONOTONIC
  };
  enum class Push { kQueued, kDropped };

  explicit Queue(size_t bound_bytes) : bound_(bound_bytes) {}

  // `tight`: memory is short all over, so only a short queue may grow.
  Push push_event(const Bytes& bytes, uint64_t stamp_ns, bool tight);
  // Never dropped; how much of it there may be is the caller's to bound.
  void push_answer(Bytes bytes);
  // There is a hole, and room behind it: to be told with push_lost() before anything else.
  bool hole_due() const { return hole_.count != 0 && bytes_ <= bound_ / 2; }
  const Hole& hole() const { return hole_; }
  void push_lost(const Bytes& bytes);

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const Item& operator[](size_t i) const { return items_[i]; }
  void pop(size_t count);
  void clear();

  size_t bytes() const { return bytes_; }
  size_t answer_bytes() const { return answer_bytes_; }
  uint64_t delivered() const { return delivered_; }  // events that were queued
  uint64_t lost() const { return lost_; }
  void set_bound(size_t bytes) { bound_ = bytes; }

  static constexpr size_t kItemBytes = sizeof(Item);

 private:
  static constexpr size_t kShort = 64 * 1024;  // picked, never tuned

  size_t bound_;
  std::deque<Item> items_;
  size_t bytes_ = 0, answer_bytes_ = 0;
  Hole hole_;
  uint64_t delivered_ = 0, lost_ = 0;
};

}  // namespace knell::hub
