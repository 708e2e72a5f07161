// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "hub/shared_bytes.h"

namespace knell::hub {

// The events and answers that one listener has not been sent yet, oldest first. Bounded in bytes:
// an event that does not fit is counted, and a LOST event takes its place in the order. See
// queue.cc.
class Queue {
 public:
  struct Item {
    SharedBytes bytes;
    uint32_t lost = 0;   // the count of a LOST event; else 0
    bool exact = true;   // `lost` is exact, not an upper bound
    bool hole = false;   // a LOST event of this queue, not of the source
    bool event = false;  // false: an answer, which is a packet of its own
  };
  struct Hole {
    uint64_t count = 0, from_ns = 0, until_ns = 0;  // CLOCK_MONOTONIC
    bool exact = true;
  };
  enum class Push { kQueued, kDropped };

  explicit Queue(size_t bound_bytes) : bound_(bound_bytes) {}

  // `tight`: the user of the listener is above its memory limit, so only a short queue may grow.
  // `lost`: not 0 for a LOST event of the source, with this upper bound; if that does not fit, the
  // hole includes its count.
  Push push_event(const SharedBytes& bytes, uint64_t stamp_ns, bool tight, uint64_t lost = 0);
  // Answers are never dropped; the caller bounds them.
  void push_answer(SharedBytes bytes);
  // There are lost events (a hole), and there is room after them: call push_lost() before anything
  // else is queued.
  bool hole_due(bool tight) const { return hole_.count != 0 && bytes_ <= bound(tight) / 2; }
  const Hole& hole() const { return hole_; }
  // Closes the hole and queues its LOST event. Empty bytes: closes it without one.
  void push_lost(const SharedBytes& bytes);
  // Moves all queued events into the hole; answers stay. Returns their number, without LOST events
  // of earlier holes.
  size_t shed();

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const Item& operator[](size_t i) const { return items_[i]; }
  void pop(size_t count);
  void clear();

  size_t bytes() const { return bytes_; }
  size_t answer_bytes() const { return answer_bytes_; }
  size_t answers() const { return answers_; }
  uint64_t delivered() const { return delivered_; }  // events queued and not shed since
  uint64_t lost() const { return lost_; }
  void set_bound(size_t bytes) { bound_ = bytes; }

  // What is saved for the next daemon beside the items: see server/saved_clients.h. The items after
  // the first size() - n are new since pushed() was n lower, unless rewrites() has changed.
  struct Counts {
    Hole hole;
    uint64_t oldest_ns = 0, newest_ns = 0, delivered = 0, lost = 0;
  };
  Counts counts() const { return {hole_, oldest_ns_, newest_ns_, delivered_, lost_}; }
  uint64_t pushed() const { return pushed_; }
  uint64_t rewrites() const { return rewrites_; }
  // Fills an empty queue with what another one had.
  void restore(std::deque<Item> items, const Counts& counts);

  static constexpr size_t kItemBytes = sizeof(Item);

 private:
  static constexpr size_t kShort = 64 * 1024;  // chosen, not measured

  size_t bound(bool tight) const { return tight && bound_ > kShort ? kShort : bound_; }
  void add_to_hole(const Item& item, uint64_t from_ns, uint64_t until_ns);

  size_t bound_;
  std::deque<Item> items_;
  size_t bytes_ = 0, answer_bytes_ = 0, answers_ = 0;
  uint64_t oldest_ns_ = 0, newest_ns_ = 0;  // bounds of the timestamps of all queued events
  Hole hole_;
  uint64_t delivered_ = 0, lost_ = 0;
  uint64_t pushed_ = 0, rewrites_ = 0;  // items that were queued; times that shed() removed some
};

}  // namespace knell::hub
