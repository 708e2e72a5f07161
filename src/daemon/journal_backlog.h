// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "handover/state.h"
#include "journal/event_queue.h"
#include "journal/recorder.h"

namespace knell::daemon {

// The events that are not known to be in the journal. If this daemon is killed, the next one needs
// them. An event is first saved to the state, in the same commit as the position up to which the
// rings were read. Only then it is passed to the recorder, so it is written exactly once. Not
// thread-safe.
//
//   { restore() }*, count_written() -> { add(), save(), set_done() }*
//     -> drop_written() -> { add(), save(), forward(), set_done() }*
class JournalBacklog {
 public:
  // `event_kind` and `done_kind`: kinds of the records in the state. `most_bytes`: limit of the
  // copies; events beyond it are counted in a lost event.
  JournalBacklog(uint32_t event_kind, uint32_t done_kind, size_t most_bytes)
      : event_kind_(event_kind), done_kind_(done_kind), most_bytes_(most_bytes) {}

  // Restores a record of an earlier daemon. Call in the order of its state; other kinds are
  // ignored.
  void restore(uint32_t kind, std::string_view payload);
  // Returns a function that counts the restored events that are already in the journal at `path`:
  // their transaction was committed, and the daemon was killed before it recorded that. Any thread
  // may call the function, when no other process writes to the journal any more. From now on
  // forward() waits for drop_written(), unless no events were restored.
  std::function<uint64_t()> count_written(std::string path);
  // Removes the first `count` restored events; only the first call has an effect.
  void drop_written(uint64_t count);
  // Whether the earlier daemon had events that are missing or unreadable in its state.
  bool lacks_some() const { return lacks_some_ || malformed_; }
  // CLOCK_REALTIME of the last event; 0: there is none.
  int64_t last_time_ns() const;

  void add(const knell_event& event);
  // Appends the changes, or everything, to the state.
  void save(handover::State& state, bool whole);
  // Passes the events to the recorder; call after the commit. Events that did not fit are counted
  // in one lost event at a time; the next lost event follows when that one is done.
  void forward(journal::Recorder& recorder);
  // The number of events passed to the recorder whose transaction is over.
  void set_done(uint64_t done);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint64_t serial;
    std::string copy;  // see journal::read_copy()
  };
  void push(uint64_t serial, std::string_view copy);
  void pop();

  const uint32_t event_kind_, done_kind_;
  const size_t most_bytes_;
  std::deque<Entry> entries_;  // in order; the entries that the recorder has come first
  size_t bytes_ = 0;
  size_t forwarded_ = 0;  // number of entries that the recorder has, at the front
  size_t saved_ = 0;      // number of entries that the state has, at the front
  uint64_t next_serial_ = 1;
  uint64_t done_serial_ = 0;  // serial of the last entry that was removed
  bool done_changed_ = false;
  uint64_t done_ = 0;  // number of done events, as the recorder counts them
  journal::Hole overflow_;
  // events in overflow_ that were not passed to Recorder::count_lost() yet
  uint64_t uncounted_ = 0;
  uint64_t overflow_serial_ = 0;  // serial of the last lost event for events that did not fit
  bool is_counting_ = false;      // drop_written() must come before forward()
  bool lacks_some_ = false;
  bool malformed_ = false;  // a restored record was ignored
};

}  // namespace knell::daemon
