// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/pid_map.h"
#include "base/unique_fd.h"
#include "source/bpf/record.h"

namespace knell::source {

// Processes that have begun to exit and are not over: their details, until the mark comes. Mostly
// that is a moment later, so only those that are still there at keep() are copied. Bounded: the
// oldest makes room.
//
//   add() -> take()                                   the mark came soon
//        +-> next_overdue() -> take()                 it came late, or never
//                          +-> next_unwatched()*      looked at again until it is over
class Waiting {
 public:
  static constexpr size_t kMost = 65536;           // picked, never tuned
  static constexpr size_t kMostBytes = 16U << 20;  // picked, never tuned

  struct Entry {
    uint64_t start_ns = 0, stamp_ns = 0;
    int32_t pid = 0;
    bool no_mark = false;     // none will come
    bool overdue = false;     // to be looked at until it is over
    UniqueFd pidfd;           // being watched; see set_pidfd()
    std::string_view record;  // in `storage`, or where add() was given it
    std::vector<uint64_t> storage;
  };

  // Whether add() has room for this process; else make_room() gives the one that must go first.
  bool has_room(int32_t pid, size_t bytes) const;
  std::optional<Entry> make_room(int32_t pid);

  // The record must stay where it is until keep().
  Entry& add(int32_t pid, uint64_t start_ns, uint64_t stamp_ns, std::string_view record);
  // Copies the records that were added since the last time.
  void keep();
  // That very process's, out of the table; nullopt: it is not there.
  std::optional<Entry> take(int32_t pid, uint64_t start_ns);
  Entry* find(int32_t pid);
  // Of those that are not overdue yet the one that was added first, if it was stamped up to
  // `until_ns`: it is overdue from now on. Else nullptr.
  Entry* next_overdue(uint64_t until_ns);
  // The same for one whose mark need not be waited for.
  void set_overdue(Entry& entry);
  // The stamp of the one that next_overdue() returns next; 0: none is left.
  uint64_t next_stamp_ns();
  // Of those that are overdue the next one without a pidfd, round and round; nullptr: all have one.
  Entry* next_unwatched();
  size_t unwatched() const { return overdue_ - watched_; }
  // Of one that is overdue.
  void set_pidfd(Entry& entry, UniqueFd pidfd);
  size_t watched() const { return watched_; }
  // Gives back what take() or make_room() gave, so that its memory, if it has any, is used again.
  void recycle(Entry&& entry);

  size_t size() const { return slots_of_.size(); }

 private:
  using Order = std::deque<std::pair<int32_t, uint64_t>>;  // pid and start; some have gone
  Entry remove(int32_t pid);
  Entry* find(const std::pair<int32_t, uint64_t>& process);
  void drop_gone();

  PidMap<uint32_t> slots_of_;
  std::vector<Entry> slots_;
  std::vector<uint32_t> free_, added_;  // slots; some that were added have gone
  std::vector<std::vector<uint64_t>> spare_;
  Order order_;  // those not overdue, as they were added
  Order overdue_order_;
  size_t bytes_ = 0;
  size_t overdue_ = 0, watched_ = 0;  // entries of which that is true
};

// Processes whose exit was told not long ago, so that it is not told again. Forgets whom it must.
class Told {
 public:
  Told() : cells_(kCells) {}
  // Whether this one is new.
  bool note(int32_t pid, uint64_t start_ns);

 private:
  static constexpr size_t kCells = 4096;
  std::vector<std::pair<int32_t, uint64_t>> cells_;
};

}  // namespace knell::source
