// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "source/bpf/record.h"

namespace knell::source {

// The reader of the map `unsent`: the exits for which no ring had room, with their status and
// stamp. take_all() empties the map; next() returns its marks in the order of their stamps, in one
// pass or in several, as Ring does. Not thread-safe.
class UnsentExits {
 public:
  explicit UnsentExits(int map_fd) : map_fd_(map_fd) {}

  // Moves all marks out of the map. `count`: knell_losses::unsent; the map is read only if that has
  // changed. Takes about 10 ms for a full map. Returns how many could not be read: the kernel
  // refuses it, as before Linux 5.19 to a process without capabilities.
  uint64_t take_all(uint64_t count);
  // The next mark with a stamp up to `until_ns`; nullopt: there is none. The record stays valid
  // until release().
  std::optional<std::string_view> next(uint64_t until_ns);
  // Whether next() stopped at a mark that is within `until_ns`, because the caller did.
  bool has_until(uint64_t until_ns) const {
    return at_ < marks_.size() && marks_[at_].head.stamp_ns <= until_ns;
  }
  void release();

  // For a process that goes on reading: count() of the last take_all(), and the marks that it took
  // and next() has not returned. unsaved(): what has changed since the last call; `whole`, or
  // `anew` in the result: all of them.
  uint64_t count() const { return count_; }
  struct Unsaved {
    bool anew;
    uint64_t consumed;  // if not `anew`: the number of marks returned since the last call
    std::span<const knell_mark> marks;
  };
  Unsaved unsaved(bool whole);
  void restore(uint64_t count, bool anew, uint64_t consumed, std::vector<knell_mark> marks);
  bool empty(uint64_t count) const { return at_ == marks_.size() && count == count_; }

 private:
  int map_fd_;
  uint64_t count_ = 0;             // knell_losses::unsent before the last take_all()
  std::vector<knell_mark> marks_;  // sorted by their stamps
  size_t at_ = 0;                  // index of the mark that next() returns next
  bool taken_ = false;             // since the last unsaved()
  uint64_t returned_ = 0, returned_saved_ = 0;
};

}  // namespace knell::source
