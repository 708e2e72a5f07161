// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A slow listener loses only its own events. The first event that does not fit opens a hole, a run
// of lost events. Every later event is dropped and counted in that hole until half of the queue has
// been read. So there are few holes, each with many events; one LOST event reports each hole at its
// place in the order, with a count that is exact unless the hole has a LOST event of the source.
// Listeners share the bytes of an event, but each is charged for all of them: so the memory that
// one listener can keep in use is bounded.
#include "hub/queue.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace knell::hub {
namespace {

uint32_t saturated(uint64_t count) {
  return static_cast<uint32_t>(std::min<uint64_t>(count, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

Queue::Push Queue::push_event(const SharedBytes& bytes, uint64_t stamp_ns, bool tight,
                              uint64_t lost) {
  Item item{.bytes = bytes, .lost = saturated(lost), .exact = lost == 0, .event = true};
  const size_t size = bytes.size() + kItemBytes;
  if (hole_.count == 0 && bytes_ + size <= bound(tight)) {
    if (bytes_ == answer_bytes_) oldest_ns_ = stamp_ns;  // only answers are queued
    newest_ns_ = stamp_ns;
    items_.push_back(std::move(item));
    ++pushed_;
    bytes_ += size;
    ++delivered_;
    return Push::kQueued;
  }
  add_to_hole(item, stamp_ns, stamp_ns);
  ++lost_;
  return Push::kDropped;
}

void Queue::add_to_hole(const Item& item, uint64_t from_ns, uint64_t until_ns) {
  if (hole_.count == 0) hole_.from_ns = from_ns;
  hole_.from_ns = std::min(hole_.from_ns, from_ns);
  hole_.until_ns = std::max(hole_.until_ns, until_ns);
  hole_.count += std::max<uint32_t>(item.lost, 1);
  hole_.exact &= item.exact;
}

void Queue::push_answer(SharedBytes bytes) {
  bytes_ += bytes.size() + kItemBytes;
  answer_bytes_ += bytes.size() + kItemBytes;
  ++answers_;
  ++pushed_;
  items_.push_back({.bytes = std::move(bytes)});
}

void Queue::push_lost(const SharedBytes& bytes) {
  const Hole hole = std::exchange(hole_, {});
  if (bytes.empty()) return;  // this listener did not ask for reports of losses
  if (bytes_ == answer_bytes_) oldest_ns_ = hole.from_ns;
  newest_ns_ = hole.until_ns;
  items_.push_back({.bytes = bytes,
                    .lost = saturated(hole.count),
                    .exact = hole.exact,
                    .hole = true,
                    .event = true});
  ++pushed_;
  bytes_ += bytes.size() + kItemBytes;
}

size_t Queue::shed() {
  std::deque<Item> kept;
  size_t gone = 0;
  for (Item& item : items_) {
    if (!item.event) {
      kept.push_back(std::move(item));
      continue;
    }
    add_to_hole(item, oldest_ns_, newest_ns_);
    bytes_ -= item.bytes.size() + kItemBytes;
    if (!item.hole)
      ++gone;  // the lost events of an earlier hole were counted when they were dropped
  }
  items_.swap(kept);
  ++rewrites_;
  delivered_ -= gone;
  lost_ += gone;
  return gone;
}

void Queue::pop(size_t count) {
  for (; count > 0; --count) {
    const Item& item = items_.front();
    const size_t size = item.bytes.size() + kItemBytes;
    bytes_ -= size;
    if (!item.event) answer_bytes_ -= size, --answers_;
    items_.pop_front();
  }
}

void Queue::restore(std::deque<Item> items, const Counts& counts) {
  items_ = std::move(items);
  for (const Item& item : items_) {
    const size_t size = item.bytes.size() + kItemBytes;
    bytes_ += size;
    if (!item.event) answer_bytes_ += size, ++answers_;
  }
  hole_ = counts.hole;
  oldest_ns_ = counts.oldest_ns;
  newest_ns_ = counts.newest_ns;
  delivered_ = counts.delivered;
  lost_ = counts.lost;
}

void Queue::clear() { pop(items_.size()); }

}  // namespace knell::hub
