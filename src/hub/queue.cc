// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A listener that does not keep up loses events, and only it. The first that does not fit opens a
// hole, and from then on every event falls into it until half of the queue has been read: so holes
// are few and wide, and each is told once, with its exact count, in its place. An event's bytes are
// shared among listeners, but each is charged for them in full: what one can hold on to is bounded
// whatever the others do.
#include "hub/queue.h"

namespace knell::hub {

Queue::Push Queue::push_event(const Bytes& bytes, uint64_t stamp_ns, bool tight) {
  const size_t size = bytes.size() + kItemBytes;
  const size_t bound = tight && bound_ > kShort ? kShort : bound_;
  if (hole_.count == 0 && bytes_ + size <= bound) {
    items_.push_back({bytes, true});
    bytes_ += size;
    ++delivered_;
    return Push::kQueued;
  }
  if (hole_.count++ == 0) hole_.from_ns = stamp_ns;
  hole_.until_ns = stamp_ns;
  ++lost_;
  return Push::kDropped;
}

void Queue::push_answer(Bytes bytes) {
  bytes_ += bytes.size() + kItemBytes;
  answer_bytes_ += bytes.size() + kItemBytes;
  items_.push_back({std::move(bytes), false});
}

void Queue::push_lost(const Bytes& bytes) {
  hole_ = {};
  if (bytes.empty()) return;  // it cannot be told to this one
  items_.push_back({bytes, true});
  bytes_ += bytes.size() + kItemBytes;
}

void Queue::pop(size_t count) {
  for (; count > 0; --count) {
    const Item& item = items_.front();
    const size_t size = item.bytes.size() + kItemBytes;
    bytes_ -= size;
    if (!item.event) answer_bytes_ -= size;
    items_.pop_front();
  }
}

void Queue::clear() { pop(items_.size()); }

}  // namespace knell::hub
