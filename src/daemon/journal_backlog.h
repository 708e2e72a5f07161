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

// The events for the journal that are not known to be in it, as the next daemon needs them if this
// one is killed. An event goes into the state first, in the same commit as the position in the
// rings up to which they were read, and to the recorder after that: so it is written once. Not
// thread-safe.
//
//   { restore() }*, count_written() -> { add(), save(), set_done() }*
//     -> drop_written() -> { add(), save(), forward(), set_done() }*
class JournalBacklog {
 public:
  // The kinds of its records in the state. `most_bytes`: of copies; beyond that, events are
  // counted in a lost event.
  JournalBacklog(uint32_t event_kind, uint32_t done_kind, size_t most_bytes)
      : event_kind_(event_kind), done_kind_(done_kind), most_bytes_(most_bytes) {}

  // A record of an earlier daemon, in the order of its state; others are ignored.
  void restore(uint32_t kind, std::string_view payload);
  // Returns what counts the restored events that are in the journal at `path` after all: a
  // transaction was committed, and the daemon was killed before it could note that. Any thread may
  // call it, when no other process writes to the journal any more. From now on forward() waits for
  // drop_written(), unless nothing was restored.
  std::function<uint64_t()> count_written(std::string path);
  // Removes so many restored events; does nothing if it was called before.
  void drop_written(uint64_t count);
  // Whether the earlier daemon had events that were not in its state, or cannot be read there.
  bool lacks_some() const { return lacks_some_ || malformed_; }
  // CLOCK_REALTIME of the last event; 0: there is none.
  int64_t last_time_ns() const;

  void add(const knell_event& event);
  // Appends what has changed, or everything, to the state.
  void save(handover::State& state, bool whole);
  // After the commit: passes the events on. What did not fit is one lost event at a time: the next
  // one follows when that is done.
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
  std::deque<Entry> entries_;  // in their order: first those that the recorder has
  size_t bytes_ = 0;
  size_t forwarded_ = 0;  // the first entries, which the recorder has
  size_t saved_ = 0;      // the first entries, which the state has
  uint64_t next_serial_ = 1;
  uint64_t done_serial_ = 0;  // of the last entry that was removed
  bool done_changed_ = false;
  uint64_t done_ = 0;  // as the recorder counts
  journal::Hole overflow_;
  uint64_t uncounted_ = 0;        // events of overflow_ that the recorder has not counted
  uint64_t overflow_serial_ = 0;  // of the last lost event for what did not fit
  bool is_counting_ = false;      // drop_written() must come before forward()
  bool lacks_some_ = false;
  bool malformed_ = false;  // a restored record was ignored
};

}  // namespace knell::daemon
