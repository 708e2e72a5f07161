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

// The details of processes that have begun to exit, until the mark of their end comes. Usually the
// mark comes a moment later, so a record is copied only if it is still here at keep(). The table is
// bounded, see make_room(). Not thread-safe.
//
//   add() -> take()                                   the mark came soon
//        +-> next_overdue() -> take()                 the mark came late, or never
//                          +-> next_unwatched()*      checked again until the process has ended
class WaitingExits {
 public:
  static constexpr size_t kMost = 65536;           // chosen, not measured
  static constexpr size_t kMostBytes = 16U << 20;  // chosen, not measured

  struct Entry {
    uint64_t start_ns = 0, stamp_ns = 0;
    int32_t pid = 0;
    bool no_mark = false;     // no mark will come
    bool saved = false;       // unsaved() has passed it
    bool overdue = false;     // the reader checks it until the process has ended
    UniqueFd pidfd;           // pidfd by which the end of the process is noticed; see set_pidfd()
    std::string_view record;  // points into `storage`, or to the argument of add()
    std::vector<uint64_t> storage;
  };

  // Whether add() has room for this process. If not, make_room() removes and returns one entry:
  // that with the same pid, else the oldest overdue one, else the oldest. nullopt: the table is
  // empty.
  bool has_room(int32_t pid, size_t bytes) const;
  std::optional<Entry> make_room(int32_t pid);

  // `pid` must not be in the table. The memory of `record` must stay valid until keep().
  Entry& add(int32_t pid, uint64_t start_ns, uint64_t stamp_ns, std::string_view record);
  // Copies the records that were added since the last call and are still in the table.
  void keep();
  // Removes and returns the entry of this process; nullopt: there is none.
  std::optional<Entry> take(int32_t pid, uint64_t start_ns);
  Entry* find(int32_t pid);
  // Marks the first added entry that is not overdue yet as overdue and returns it, if its stamp is
  // not later than `until_ns`. Else nullptr.
  Entry* next_overdue(uint64_t until_ns);
  // Marks an entry as overdue at once: its mark will not come.
  void set_overdue(Entry& entry);
  // The stamp of the entry that next_overdue() returns next; 0: there is none.
  uint64_t next_stamp_ns();
  // The overdue entries without a pidfd, in turn: returns the next one with each call. nullptr: all
  // overdue entries have a pidfd.
  Entry* next_unwatched();
  size_t unwatched() const { return overdue_ - watched_; }
  // Sets or (with an empty one) closes the pidfd of an overdue entry.
  void set_pidfd(Entry& entry, UniqueFd pidfd);
  size_t watched() const { return watched_; }
  // Takes back an entry that take() or make_room() returned, to reuse its memory.
  void recycle(Entry&& entry);

  size_t size() const { return slots_of_.size(); }

  // For a process that goes on: visits the entries that were added since the last call, or all of
  // them. take_removed(): pid and start of those of them that were removed since.
  template <class F>
  void unsaved(bool whole, F visit) {
    if (whole) {
      unsaved_.clear();
      for (uint32_t slot = 0; slot < slots_.size(); ++slot) unsaved_.push_back(slot);
    }
    for (const uint32_t slot : unsaved_) {
      Entry& entry = slots_[slot];
      if (entry.record.empty() || (entry.saved && !whole)) continue;
      entry.saved = true;
      visit(entry);
    }
    unsaved_.clear();
    saves_ = true;
  }
  std::vector<std::pair<int32_t, uint64_t>> take_removed() { return std::exchange(removed_, {}); }

 private:
  using Order = std::deque<std::pair<int32_t, uint64_t>>;  // pid and start; some were removed
  Entry remove(int32_t pid);
  Entry* find(const std::pair<int32_t, uint64_t>& process);
  void drop_gone();

  PidMap<uint32_t> slots_of_;
  std::vector<Entry> slots_;
  std::vector<uint32_t> unsaved_;  // indexes of slots_
  bool saves_ = false;             // unsaved() is called
  std::vector<std::pair<int32_t, uint64_t>> removed_;
  std::vector<uint32_t> free_, added_;  // indexes of slots_; some in added_ are free again
  std::vector<std::vector<uint64_t>> spare_;
  Order order_;          // entries that are not overdue, in the order of add()
  Order overdue_order_;  // overdue entries
  size_t bytes_ = 0;
  size_t overdue_ = 0, watched_ = 0;  // number of overdue entries, and of those with a pidfd
};

// The processes whose exits were reported recently, so that no exit is reported twice. A fixed
// table: a new process evicts the one that has its cell. `start`: clock ticks since boot.
class ReportedExits {
 public:
  ReportedExits() : cells_(kCells) {}
  // Adds a process. Returns false if it is in the table already.
  bool note(int32_t pid, uint64_t start);
  // Visits the processes that were added since the last call, or all.
  template <class F>
  void unsaved(bool whole, F visit) {
    const auto& now = whole ? cells_ : unsaved_;
    for (const auto& [pid, start] : now)
      if (pid != 0) visit(pid, start);
    unsaved_.clear();
    saves_ = true;
  }

 private:
  static constexpr size_t kCells = 4096;
  std::vector<std::pair<int32_t, uint64_t>> unsaved_;
  bool saves_ = false;  // unsaved() is called
  std::vector<std::pair<int32_t, uint64_t>> cells_;
};

}  // namespace knell::source
