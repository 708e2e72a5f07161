// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"

namespace knell {

// A map from pids to small values: open addressing with linear probing in one flat array, no
// allocation per entry, deletion by shifting entries back (no tombstones, so many insertions and
// removals never slow it down). Pid 0 is no key. Pointers and references to values are invalid
// after the next insertion or removal. Not thread-safe.
template <class T>
class PidMap {
 public:
  PidMap() : cells_(kSmallest) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t bytes() const { return cells_.size() * sizeof(Cell); }

  T* find(int32_t pid) {
    if (pid <= 0 || size_ == 0) return nullptr;
    for (size_t i = home(pid);; i = next(i)) {
      if (cells_[i].pid == pid) return &cells_[i].value;
      if (cells_[i].pid == 0) return nullptr;
    }
  }
  const T* find(int32_t pid) const { return const_cast<PidMap*>(this)->find(pid); }

  // The value of `pid`, created with T() if missing; second: whether it was created.
  std::pair<T*, bool> emplace(int32_t pid) {
    KNELL_CHECK(pid > 0);
    if (T* there = find(pid)) return {there, false};
    if ((size_ + 1) * 4 > cells_.size() * 3) resize(cells_.size() * 2);
    Cell& cell = cells_[free_cell(pid)];
    cell.pid = pid;
    ++size_;
    return {&cell.value, true};
  }

  bool erase(int32_t pid) {
    T* value = find(pid);
    if (value == nullptr) return false;
    erase_at(static_cast<size_t>(
        reinterpret_cast<Cell*>(reinterpret_cast<char*>(value) - offsetof(Cell, value)) -
        cells_.data()));
    return true;
  }

  void clear() {
    cells_ = std::vector<Cell>(kSmallest);
    size_ = hand_ = 0;
  }

  // Visits up to `count` entries, starting where the last call ended and wrapping around.
  // `visit(pid, value)` returns whether to erase the entry.
  template <class F>
  void sweep(size_t count, F visit) {
    count = count < size_ ? count : size_;
    for (size_t looked = 0; count > 0 && looked < cells_.size(); ++looked) {
      if (hand_ >= cells_.size()) hand_ = 0;
      Cell& cell = cells_[hand_];
      if (cell.pid != 0) --count;
      // Erasing may have moved another entry into this cell: visit the cell again.
      if (cell.pid != 0 && visit(cell.pid, cell.value))
        erase_at(hand_);
      else
        ++hand_;
    }
    if (cells_.size() > kSmallest && size_ * 8 < cells_.size()) resize(cells_.size() / 2);
  }

  template <class F>
  void for_each(F visit) {
    for (Cell& cell : cells_)
      if (cell.pid != 0) visit(cell.pid, cell.value);
  }
  template <class F>
  void for_each(F visit) const {
    for (const Cell& cell : cells_)
      if (cell.pid != 0) visit(cell.pid, cell.value);
  }
  size_t cells() const { return cells_.size(); }

 private:
  struct Cell {
    int32_t pid = 0;
    T value{};
  };
  static constexpr size_t kSmallest = 64;  // chosen, not measured

  size_t home(int32_t pid) const {
    // Fibonacci hashing: spreads consecutive pids over the array.
    return (static_cast<uint64_t>(static_cast<uint32_t>(pid)) * UINT64_C(0x9E3779B97F4A7C15) >>
            32) &
           (cells_.size() - 1);
  }
  size_t next(size_t i) const { return (i + 1) & (cells_.size() - 1); }
  size_t free_cell(int32_t pid) const {
    size_t i = home(pid);
    while (cells_[i].pid != 0) i = next(i);
    return i;
  }
  void erase_at(size_t hole) {
    cells_[hole] = Cell();
    --size_;
    // Moves back entries that were placed behind the hole because its cell was taken.
    for (size_t i = next(hole); cells_[i].pid != 0; i = next(i)) {
      const size_t from_home = (i - home(cells_[i].pid)) & (cells_.size() - 1);
      const size_t from_hole = (i - hole) & (cells_.size() - 1);
      if (from_home < from_hole) continue;
      cells_[hole] = std::exchange(cells_[i], Cell());
      hole = i;
    }
  }
  void resize(size_t cells) {
    std::vector<Cell> old(cells);
    old.swap(cells_);
    hand_ = 0;
    for (Cell& cell : old)
      if (cell.pid != 0) cells_[free_cell(cell.pid)] = std::move(cell);
  }

  std::vector<Cell> cells_;
  size_t size_ = 0;
  size_t hand_ = 0;
};

}  // namespace knell
