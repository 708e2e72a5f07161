// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "event/batch.h"
#include "event/raw.h"
#include "filter/predicates.h"
#include "process/timebase.h"
#include "source/source.h"

namespace knell::source {

// Where a source puts its events: the batch of one drain, in the order of the stream. An event is
// begun, filled and committed; it stays in the batch if the sink wants it. Not thread-safe.
class Output {
 public:
  // The references must outlive it. `boot`: the first 8 hex digits of the boot id.
  Output(event::Batch& batch, Sink& sink, const Clock& clock, uint32_t boot)
      : batch_(batch), sink_(sink), clock_(clock), boot_(boot) {
    begin_drain();
  }

  // Call before each drain: a suspend or an adjusted clock changes the offsets.
  void begin_drain() { time_.take(clock_); }
  // How many events a drain can read so that all fit: a fork may add the exit of the process that
  // had its pid, and some slots are kept for exits and losses without an event of the kernel.
  size_t bound() const {
    return batch_.room() <= kSpareSlots ? 0 : (batch_.room() - kSpareSlots) / 2;
  }
  static constexpr size_t kSpareSlots = 64;

  bool wants(uint32_t types) const { return (sink_.types() & types) != 0; }
  // The next slot, with the fields that every event has; nullptr: the type is not wanted. Must be
  // followed by commit().
  Slot* begin(uint32_t type, uint32_t via, int32_t pid, int32_t tid, uint64_t stamp_ns);
  // Keeps the slot that was begun last if the sink wants the event. Returns whether the sink does.
  bool commit(Slot& slot, const filter::Ancestry& ancestry);
  // Reserves a place for an exit that is decided later; nullptr: exits are not wanted. A slot that
  // is never filled is skipped.
  Slot* reserve_exit();
  void begin_exit(Slot& reserved, uint32_t via, int32_t pid, int32_t tid, uint64_t stamp_ns) {
    begin(reserved, KNELL_EVENT_EXIT, via, pid, tid, stamp_ns);
  }
  void commit_reserved(Slot& slot, const filter::Ancestry& ancestry) {
    ++events_;
    slot.ready = sink_.wants(slot, ancestry);
  }
  // The number of events committed so far, including those that the sink did not want.
  uint64_t events() const { return events_; }
  // Adds a lost event for a hole. `exact`: the hole's count is the number of lost events of the
  // listener's level.
  void add_hole(const event::Raw& hole, uint32_t via, bool exact);

  event::Batch& batch() { return batch_; }
  Sink& sink() { return sink_; }
  const process::Timebase& time() const { return time_; }
  const Clock& clock() const { return clock_; }
  uint32_t boot() const { return boot_; }

 private:
  void begin(Slot& slot, uint32_t type, uint32_t via, int32_t pid, int32_t tid,
             uint64_t stamp_ns) const;

  event::Batch& batch_;
  Sink& sink_;
  const Clock& clock_;
  uint32_t boot_;
  uint64_t events_ = 0;
  process::Timebase time_;
};

// An Output for a caller that waits for a single exit, without a listener.
class OneExit final : private Sink {
 public:
  OneExit();
  Output& out() { return out_; }
  const knell_event* event() const { return seen_ ? &event_ : nullptr; }

 private:
  uint32_t types() const override { return KNELL_EVENT_EXIT; }
  bool wants(Slot& slot, const filter::Ancestry&) override;
  void on_process_ended(int32_t, uint64_t, std::span<const event::NamespacePids>) override {}

  event::Batch batch_{1};
  Output out_;
  knell_event event_{};
  bool seen_ = false;
};

// For an exit whose process was dying when it was added: sets KNELL_FLAG_DETAILS_LOST if the event
// lacks any of `details` (enum knell_details).
inline void note_late_details(knell_event& event, uint32_t details) {
  if (details == KNELL_DETAILS_STATUS) return;
  if (event.comm.data == nullptr || (details == KNELL_DETAILS_FULL && event.exe.data == nullptr))
    event.flags |= KNELL_FLAG_DETAILS_LOST;
}

inline constexpr uint32_t kAnyExit = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;

}  // namespace knell::source
