// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "event/fields.h"

namespace knell::journal {

// Events that are missing in one place of the stream.
struct Hole {
  uint64_t count = 0;
  bool exact = true;  // false: `count` is a lower bound
  uint32_t types = 0;
  uint64_t from_ns = 0, until_ns = 0;  // CLOCK_MONOTONIC
  int64_t from_time_ns = 0, until_time_ns = 0;

  bool empty() const { return count == 0 && exact; }
  void add(const knell_event& event);
  void add(const Hole& other);
  // The lost event that reports it.
  knell_event event() const;
};

// A copy of an event with its texts, in one piece of memory. Valid in this process and in others of
// the same build only.
size_t bytes_of_copy(const knell_event& event);
void write_copy(const knell_event& event, char* out);
// The event of the copy at `copy`; its texts point into it.
struct EventCopy {
  knell_event event;
  size_t bytes;
};
EventCopy read_copy(const char* copy);
// Whether the bytes have the size of the copy that they begin with.
bool is_copy(std::string_view bytes);

// Copies of events, with their texts, in one buffer. Not thread-safe.
class EventQueue {
 public:
  explicit EventQueue(size_t most_bytes) : most_(most_bytes) {}

  // If there is no room, the event is added to the hole at the end, and so are all that follow.
  void push(const knell_event& event);
  bool empty() const { return used_ == 0 && hole_.empty(); }
  size_t bytes() const { return used_; }
  bool is_half_full() const { return used_ > most_ / 2; }
  const Hole& hole() const { return hole_; }
  // Calls visit(event) for each event, oldest first, and for the hole; ends early if it returns
  // false.
  template <class F>
  void for_each(F visit) const {
    for (size_t at = 0; at < used_;) {
      const EventCopy copy = read_copy(buffer_.get() + at);
      if (!visit(copy.event)) return;
      at += copy.bytes;
    }
    if (!hole_.empty()) visit(hole_.event());
  }
  void clear() {
    used_ = 0;
    hole_ = {};
  }
  void swap(EventQueue& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(capacity_, other.capacity_);
    std::swap(used_, other.used_);
    std::swap(hole_, other.hole_);
  }

 private:
  void reserve(size_t bytes);

  size_t most_;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0, used_ = 0;
  Hole hole_;
};

}  // namespace knell::journal
