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
    uint32_t lost = 0;   // it tells of so many that were lost; 0: it is no such
    bool exact = true;   // so many, not at the most
    bool hole = false;   // those are this queue's own
    bool event = false;  // else an answer, which is a packet of its own
  };
  struct Hole {
    uint64_t count = 0, from_ns = 0, until_ns = 0;  // CLOCK_MONOTONIC
    bool exact = true;
  };
  enum class Push { kQueued, kDropped };

  explicit Queue(size_t bound_bytes) : bound_(bound_bytes) {}

  // `tight`: its user's memory is short, so only a short queue may grow. `lost`: the event tells of
  // so many at the most that the source lost; where it does not fit, they are lost with it.
  Push push_event(const Bytes& bytes, uint64_t stamp_ns, bool tight, uint64_t lost = 0);
  // Never dropped; how much of it there may be is the caller's to bound.
  void push_answer(Bytes bytes);
  // There is a hole, and room behind it: to be told with push_lost() before anything else.
  bool hole_due(bool tight) const { return hole_.count != 0 && bytes_ <= bound(tight) / 2; }
  const Hole& hole() const { return hole_; }
  void push_lost(const Bytes& bytes);
  // All events that wait fall into the hole; answers stay. How many that were.
  size_t shed();

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const Item& operator[](size_t i) const { return items_[i]; }
  void pop(size_t count);
  void clear();

  size_t bytes() const { return bytes_; }
  size_t answer_bytes() const { return answer_bytes_; }
  size_t answers() const { return answers_; }
  uint64_t delivered() const { return delivered_; }  // events that were queued
  uint64_t lost() const { return lost_; }
  void set_bound(size_t bytes) { bound_ = bytes; }

  static constexpr size_t kItemBytes = sizeof(Item);

 private:
  static constexpr size_t kShort = 64 * 1024;  // picked, never tuned

  size_t bound(bool tight) const { return tight && bound_ > kShort ? kShort : bound_; }
  void swallow(const Item& item, uint64_t from_ns, uint64_t until_ns);

  size_t bound_;
  std::deque<Item> items_;
  size_t bytes_ = 0, answer_bytes_ = 0, answers_ = 0;
  uint64_t oldest_ns_ = 0, newest_ns_ = 0;  // no event that waits is older, or newer
  Hole hole_;
  uint64_t delivered_ = 0, lost_ = 0;
};

}  // namespace knell::hub
