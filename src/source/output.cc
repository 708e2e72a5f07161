// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/output.h"

#include "base/boot_id.h"
#include "event/mask.h"

namespace knell::source {
void Output::begin(Slot& slot, uint32_t type, uint32_t via, int32_t pid, int32_t tid,
                   uint64_t stamp_ns) const {
  knell_event& event = slot.event;
  event.size = sizeof event;
  event.type = type;
  event.via = via;
  event.mono_ns = stamp_ns;
  event.time_ns = time_.realtime_ns(stamp_ns);
  event.pid = pid;
  event.tid = tid;
}

Slot* Output::begin(uint32_t type, uint32_t via, int32_t pid, int32_t tid, uint64_t stamp_ns) {
  if (!wants(type)) return nullptr;
  Slot* slot = batch_.reserve();
  begin(*slot, type, via, pid, tid, stamp_ns);
  return slot;
}

bool Output::commit(Slot& slot, const filter::Ancestry& ancestry) {
  ++events_;
  slot.ready = sink_.wants(slot, ancestry);
  if (slot.ready) return true;
  batch_.release_last(&slot);
  return false;
}

Slot* Output::reserve_exit() { return wants(kAnyExit) ? batch_.reserve() : nullptr; }

void Output::add_hole(const event::Raw& hole, uint32_t via, bool exact) {
  Slot* slot = begin(KNELL_EVENT_LOST, via, 0, 0, hole.stamp_ns);
  if (slot == nullptr) return;
  knell_event& event = slot->event;
  if (hole.u.lost.counted) {
    event.has |= KNELL_HAS_COUNT;
    event.lost_count = hole.u.lost.count;
  }
  if (hole.u.lost.exact && exact) event.flags |= KNELL_FLAG_EXACT;
  event.lost_types = event::types_of(hole.u.lost.types);
  event.lost_from_ns = hole.u.lost.from_ns;
  event.lost_until_ns = hole.stamp_ns;
  event.lost_from_time_ns = time_.realtime_ns(hole.u.lost.from_ns);
  event.lost_until_time_ns = time_.realtime_ns(hole.stamp_ns);
  commit(*slot, filter::NoAncestry());
}

OneExit::OneExit() : out_(batch_, *this, system_clock(), boot_number()) {}

bool OneExit::wants(Slot& slot, const filter::Ancestry&) {
  event_ = slot.event;
  seen_ = true;
  return true;
}

}  // namespace knell::source
